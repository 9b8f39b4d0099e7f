// Package decide chooses a node for a pod.
//
// [Decide] is a function: it takes a snapshot of the cluster, a pod, and the
// plugins of a profile, and gives back a [Decision]. It changes nothing, asks no
// server, and no time decides. What it needs from outside, where to begin and how
// to break ties, is an argument. So the same question has the same answer
// whenever it is asked, and whoever holds the snapshot can ask it.
//
//	prepare   each plugin looks at the cluster once        (PreFilter)
//	filter    which nodes could run the pod?               (Filter)
//	score     how good is each of those?                   (PreScore, Score, Normalize)
//	choose    the highest sum wins, ties at random
//
// A large cluster is not looked at as a whole. Once enough nodes pass the
// filters the search ends, and the next decision begins where this one has
// stopped: the best of five hundred nodes is hardly worse than the best of five
// thousand, and is found in a tenth of the time.
//
// The real one is schedule_one.go in k8s.io/kubernetes/pkg/scheduler.
package decide

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

// A Profile is the plugins that decide, in order, for the pods that name the
// profile as their scheduler.
type Profile struct {
	Name    string             // spec.schedulerName of its pods
	Filters []framework.Plugin // each a FilterPlugin or a PreFilterPlugin
	Scores  []Weighted

	// PercentageOfNodesToScore ends the search for nodes early in clusters
	// of a hundred nodes or more. 0 chooses by the size of the cluster.
	PercentageOfNodesToScore int

	// Parallelism is how many goroutines may look at nodes at a time. Fewer
	// are used where there are fewer processors or few nodes. It changes how
	// fast a decision is made, but not which one.
	Parallelism int
}

// Weighted is a ScorePlugin or a PreScorePlugin, and how many times its scores
// count.
type Weighted struct {
	Plugin framework.Plugin
	Weight int64
}

// From is what one decision hands on to the next.
type From struct {
	// Start is where in the snapshot's list of nodes to begin. Add a
	// decision's Looked to it for the next one; it may exceed the list.
	Start int

	// Rand breaks ties.
	Rand *rand.Rand

	// Known makes decisions about pods that are alike quicker; it may be nil.
	Known *Known

	// Now is the clock by which a decision says how long it took; nil: it does not.
	Now func() time.Time
}

// ErrNoNodes says that the cluster has no nodes at all.
var ErrNoNodes = errors.New("no nodes available to schedule pods")

// A Decision is where a pod should go, or why it can't go anywhere, and on what
// grounds. It refers to the nodes of the snapshot and is never changed.
type Decision struct {
	Pod  *framework.Pod
	Node string // empty if there is an Err
	Err  error  // ErrNoNodes, a *FitError, or the error of a plugin

	Total      int // nodes in the cluster
	Looked     int // nodes looked at
	Feasible   []*framework.Node
	Rejections []Rejection

	// Scores has a column for each plugin that had something to say: its
	// scores, normalized but not weighted, for the nodes in Feasible. Totals
	// has the weighted sums. Both are nil where there was no choice to make.
	Scores []Column
	Totals []int64

	// Filters are the profile's filters as they were prepared for this pod.
	Filters Filters

	// Spans are how long it took, one extension point after the other.
	Spans []Span
}

// A Span is the time that all plugins took together at an extension point, for all
// nodes: PreFilter, Filter, PreScore or Score. That no node passes the filters is a
// Success of them.
type Span struct {
	Point string
	Code  framework.Code
	Took  time.Duration
}

// A Rejection is the no of the first plugin that said no to a node.
type Rejection struct {
	Node   *framework.Node
	Plugin string
	Status *framework.Status
}

// A Column is the scores of one plugin, in the order of Decision.Feasible.
type Column struct {
	Plugin string
	Weight int64
	Scores []int64
}

// Decide chooses a node of the snapshot for the pod.
func Decide(snapshot *framework.Snapshot, pod *framework.Pod, profile *Profile, from From) *Decision {
	d := &Decision{Pod: pod, Total: len(snapshot.Nodes)}
	if d.Total == 0 {
		d.Err = ErrNoNodes
		return d
	}
	watch := d.time(from.Now)
	prepared, err := prepare(snapshot, pod, profile)
	watch.lap("PreFilter", err)
	d.Filters = prepared.filters
	if err != nil {
		d.Err = err
		return d
	}
	known := from.Known
	if known != nil {
		if known.turn(pod, profile, d.Total); !known.alike {
			known = nil
		}
	}
	d.find(snapshot, profile, prepared, from.Start, known)
	watch.lap("Filter", d.Err)
	if d.Err == nil {
		d.choose(snapshot, profile, from.Rand, known, watch)
	}
	return d
}

// A stopwatch writes down how long each part of a decision took. A nil one does not.
type stopwatch struct {
	*Decision
	now   func() time.Time
	begin time.Time
}

func (d *Decision) time(now func() time.Time) *stopwatch {
	if now == nil {
		return nil
	}
	d.Spans = make([]Span, 0, 4)
	return &stopwatch{d, now, now()}
}

// lap ends a span, and begins the next.
func (w *stopwatch) lap(point string, err error) {
	if w != nil {
		now := w.now()
		w.Spans = append(w.Spans, Span{point, code(err), now.Sub(w.begin)})
		w.begin = now
	}
}

func code(err error) framework.Code {
	var fit *FitError
	switch {
	case errors.As(err, &fit) && fit.Early != nil:
		return fit.Early.Code
	case err == nil || fit != nil:
		return framework.Success
	}
	return framework.Error
}

// find fills in which nodes are feasible and which are not.
func (d *Decision) find(snapshot *framework.Snapshot, profile *Profile, prepared prepared, start int, known *Known) {
	// A pod that victims have made room for has just one place that is likely
	// to fit: look there first.
	if name := d.Pod.Status.NominatedNodeName; name != "" {
		if node := snapshot.Node(name); node != nil {
			if _, status := d.Filters.Check(snapshot, d.Pod, node); status.OK() {
				d.Looked, d.Feasible = 1, []*framework.Node{node}
				return
			}
		}
	}
	nodes := prepared.candidates(snapshot)
	search := search{
		nodes:   nodes,
		start:   start,
		wanted:  wanted(len(nodes), profile.PercentageOfNodesToScore),
		workers: profile.Parallelism,
	}
	if len(profile.Scores) == 0 {
		search.wanted = 1
	}
	if prepared.local {
		search.known = known
	}
	search.run(d, snapshot)
	if d.Err == nil && len(d.Feasible) == 0 {
		d.Err = &FitError{Total: d.Total, Rejections: d.Rejections, Others: prepared.others, Narrowed: prepared.narrowed}
	}
}

// wanted returns how many feasible nodes are enough: all of a small cluster, a
// share of a large one that shrinks as it grows, from half to a twentieth.
func wanted(nodes, percentage int) int {
	const enough, least = 100, 5
	if nodes < enough {
		return nodes
	}
	if percentage == 0 {
		percentage = max(50-nodes/125, least)
	}
	return max(nodes*percentage/100, enough)
}

// choose scores the feasible nodes and picks one of those with the highest sum.
func (d *Decision) choose(snapshot *framework.Snapshot, profile *Profile, random *rand.Rand, known *Known, watch *stopwatch) {
	if len(d.Feasible) == 1 {
		d.Node = d.Feasible[0].Name
		return
	}
	if d.Err = d.score(snapshot, profile, known, watch); d.Err != nil {
		return
	}
	best, ties := 0, 0
	for i, total := range d.Totals {
		switch {
		case total > d.Totals[best]:
			best, ties = i, 1
		case total == d.Totals[best]:
			// The nth of n equals replaces the one held with chance 1/n,
			// which leaves every one of them with the same chance.
			if ties++; random.IntN(ties) == 0 {
				best = i
			}
		}
	}
	d.Node = d.Feasible[best].Name
}

// score fills in Scores and Totals.
func (d *Decision) score(snapshot *framework.Snapshot, profile *Profile, known *Known, watch *stopwatch) (err error) {
	scorers := make([]framework.Score, 0, len(profile.Scores))
	knowable := make([]int, 0, len(profile.Scores)) // by scorer: where Known has its scores, or -1
	for place, weighted := range profile.Scores {
		scorer, err := prepareScore(snapshot, d.Pod, d.Feasible, weighted.Plugin)
		if err != nil {
			watch.lap("PreScore", err)
			return err
		}
		if scorer != nil {
			scorers = append(scorers, scorer)
			if known == nil || !isLocal(weighted.Plugin) {
				place = -1
			}
			knowable = append(knowable, place)
			d.Scores = append(d.Scores, Column{Plugin: weighted.Plugin.Name(), Weight: weighted.Weight})
		}
	}
	watch.lap("PreScore", nil)
	defer func() { watch.lap("Score", err) }()
	n := len(d.Feasible)
	block := make([]int64, (len(scorers)+1)*n)
	d.Totals, block = block[:n], block[n:]
	for i := range d.Scores {
		d.Scores[i].Scores, block = block[:n], block[n:]
	}
	each(n, profile.Parallelism, func(i int) {
		node := d.Feasible[i]
		kept, held := known.scoresOf(node)
		for k, scorer := range scorers {
			score, place := &d.Scores[k].Scores[i], knowable[k]
			if held && place >= 0 {
				*score = kept[place]
				continue
			}
			*score = scorer.Score(node)
			if place >= 0 {
				kept[place] = *score
			}
		}
	})
	for k, scorer := range scorers {
		if err := d.sum(scorer, d.Scores[k]); err != nil {
			return err
		}
	}
	return nil
}

// sum normalizes a column and adds it to the totals.
func (d *Decision) sum(scorer framework.Score, column Column) error {
	if n, ok := scorer.(framework.Normalizer); ok {
		n.Normalize(d.Feasible, column.Scores)
	}
	for i, score := range column.Scores {
		if score < framework.MinScore || score > framework.MaxScore {
			return fmt.Errorf("plugin %q returns an invalid score %v, it should in the range of [%v, %v] after normalizing",
				column.Plugin, score, framework.MinScore, framework.MaxScore)
		}
		d.Totals[i] += score * column.Weight
	}
	return nil
}
