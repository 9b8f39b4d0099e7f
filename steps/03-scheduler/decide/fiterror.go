package decide

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

// A FitError says why a pod fits nowhere. Its text is upstream's, word for
// word: people search for it, and tests match it.
type FitError struct {
	Total int // nodes in the cluster

	// Early is the no that Plugin gave to the cluster as a whole, before any
	// node was looked at.
	Early  *framework.Status
	Plugin string

	Rejections []Rejection

	// Narrowed are the plugins that named the only nodes worth a look, and
	// Others what that means for the rest.
	Narrowed []string
	Others   *framework.Status

	// Preemption is what came of the attempt to make room, if anything is to
	// be said about it.
	Preemption string
}

// Error counts the reasons: "0/3 nodes are available: 1 Insufficient cpu, 2
// node(s) had untolerated taint(s)."
func (e *FitError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "0/%d nodes are available:", e.Total)
	if e.Early != nil && e.Early.Message() != "" {
		fmt.Fprintf(&b, " %s.", e.Early.Message())
	} else if reasons := e.reasons(); len(reasons) > 0 {
		fmt.Fprintf(&b, " %s.", strings.Join(reasons, ", "))
	}
	if e.Preemption != "" {
		fmt.Fprintf(&b, " %s", e.Preemption)
	}
	return b.String()
}

// reasons returns each reason with the number of nodes that it holds for.
func (e *FitError) reasons() []string {
	count := map[string]int{}
	for _, r := range e.Rejections {
		for _, reason := range r.Status.Reasons {
			count[reason]++
		}
	}
	if rest := e.Total - len(e.Rejections); rest > 0 && e.Others != nil {
		for _, reason := range e.Others.Reasons {
			count[reason] += rest
		}
	}
	lines := make([]string, 0, len(count))
	for reason, n := range count {
		lines = append(lines, fmt.Sprintf("%d %s", n, reason))
	}
	slices.Sort(lines)
	return lines
}

// Plugins returns the names of the plugins that rejected anything, sorted: only
// an event that helps one of them can help the pod.
func (e *FitError) Plugins() []string {
	names := map[string]bool{}
	for _, r := range e.Rejections {
		names[r.Plugin] = true
	}
	for _, name := range e.Narrowed {
		names[name] = true
	}
	if e.Plugin != "" {
		names[e.Plugin] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Resolvable returns the nodes on which fewer pods might make room: those that
// were rejected, but not for good.
func (e *FitError) Resolvable(snapshot *framework.Snapshot) []*framework.Node {
	if e.Early != nil {
		if e.Early.Code == framework.Unschedulable {
			return snapshot.Nodes
		}
		return nil
	}
	var nodes []*framework.Node
	for _, r := range e.Rejections {
		if r.Status.Code == framework.Unschedulable {
			nodes = append(nodes, r.Node)
		}
	}
	return nodes
}

// For returns what the node was told, by its name.
func (e *FitError) For(node string) *framework.Status {
	for _, r := range e.Rejections {
		if r.Node.Name == node {
			return r.Status
		}
	}
	if e.Early != nil {
		return e.Early
	}
	return e.Others
}
