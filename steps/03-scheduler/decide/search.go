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
}

// atLeast is how many nodes a round takes when just a few more are wanted.
const atLeast = 64

// run writes what it finds to d. Goroutines share the work in rounds, and the
// results of a round are read in order: what is found does not depend on who
// was faster.
func (s search) run(d *Decision, snapshot *framework.Snapshot) {
	type answer struct {
		plugin string
		status *framework.Status
	}
	node := func(i int) *framework.Node { return s.nodes[(s.start+i)%len(s.nodes)] }
	d.Feasible = make([]*framework.Node, 0, s.wanted)
	answers := make([]answer, min(max(s.wanted, atLeast), len(s.nodes)))
	for d.Looked < len(s.nodes) && len(d.Feasible) < s.wanted {
		first := d.Looked
		answers := answers[:min(max(s.wanted-len(d.Feasible), atLeast), len(answers), len(s.nodes)-first)]
		each(len(answers), s.workers, func(i int) {
			plugin, status := d.Filters.Check(snapshot, d.Pod, node(first+i))
			answers[i] = answer{plugin, status}
		})
		for i, a := range answers {
			switch {
			case a.status.OK():
				d.Feasible = append(d.Feasible, node(first+i))
			case !a.status.Rejected():
				d.Err = fmt.Errorf("running Filter plugin %q: %s", a.plugin, a.status.Message())
				return
			default:
				d.Rejections = append(d.Rejections, Rejection{node(first + i), a.plugin, a.status})
			}
			d.Looked++
			if len(d.Feasible) == s.wanted {
				return
			}
		}
	}
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
