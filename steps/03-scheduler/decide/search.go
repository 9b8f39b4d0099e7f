package decide

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

// search looks at nodes, beginning at start, until it has found as many as
// wanted that pass the filters.
type search struct {
	nodes   []*framework.Node
	start   int
	wanted  int
	workers int
	known   *Known // nil: nothing
}

// atLeast is how many nodes a round takes when just a few more are wanted.
const atLeast = 64

// run writes what it finds to d. Goroutines share the work in rounds, and the
// results of a round are read in order: what is found does not depend on who
// was faster.
func (s search) run(d *Decision, snapshot *framework.Snapshot) {
	node := func(i int) *framework.Node { return s.nodes[(s.start+i)%len(s.nodes)] }
	d.Feasible = make([]*framework.Node, 0, s.wanted)
	answers := make([]answer, min(max(s.wanted, atLeast), len(s.nodes)))
	for d.Looked < len(s.nodes) && len(d.Feasible) < s.wanted {
		first := d.Looked
		answers := answers[:min(max(s.wanted-len(d.Feasible), atLeast), len(answers), len(s.nodes)-first)]
		each(len(answers), s.workers, func(i int) {
			answers[i] = s.ask(d, snapshot, node(first+i))
		})
		for _, a := range answers {
			switch {
			case a.status.OK():
				d.Feasible = append(d.Feasible, a.node)
			case !a.status.Rejected():
				d.Err = fmt.Errorf("running Filter plugin %q: %s", a.plugin, a.status.Message())
				return
			default:
				d.Rejections = append(d.Rejections, Rejection{a.node, a.plugin, a.status})
			}
			d.Looked++
			if len(d.Feasible) == s.wanted {
				return
			}
		}
	}
}

// ask asks the filters about a node, if that is not known. Pods that are nominated for
// the node come and go without it.
func (s search) ask(d *Decision, snapshot *framework.Snapshot, node *framework.Node) answer {
	if s.known == nil || len(snapshot.Nominated) > 0 && len(snapshot.Nominated[node.Name]) > 0 {
		plugin, status := d.Filters.Check(snapshot, d.Pod, node)
		return answer{node, plugin, status}
	}
	known := &s.known.answers[node.Place()]
	if known.node != node {
		plugin, status := d.Filters.check(node)
		*known = answer{node, plugin, status}
	}
	return *known
}

// each calls f for 0 to n-1, on several goroutines where that pays.
func each(n, workers int, f func(i int)) {
	const chunk = 64
	workers = min(workers, runtime.GOMAXPROCS(0), n/(2*chunk))
	if workers < 2 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	work := func() {
		for {
			end := int(next.Add(chunk))
			if end-chunk >= n {
				return
			}
			for i := end - chunk; i < min(end, n); i++ {
				f(i)
			}
		}
	}
	var wg sync.WaitGroup
	for range workers - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
}
