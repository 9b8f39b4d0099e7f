package decide

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// An Explanation is a decision as a table of nodes by plugins, for people and
// as JSON. Nothing is asked again to make it: it is what was decided on.
type Explanation struct {
	Pod     string    `json:"pod"` // namespace/name
	UID     types.UID `json:"uid"` // a later pod may have the same name
	Node    string    `json:"node,omitempty"`
	Message string    `json:"message,omitempty"` // the error, if there is no node
	Total   int       `json:"total"`
	Looked  int       `json:"looked"`
	Filters []string  `json:"filters"` // in the order in which they were asked
	Scores  []Heading `json:"scores"`
	Nodes   []Row     `json:"nodes"` // best first, then the rejected
}

// A Heading is a plugin that has given scores.
type Heading struct {
	Plugin string `json:"plugin"`
	Weight int64  `json:"weight"`
}

// A Row is one node. A rejected node passed the filters in front of
// RejectedBy, and was not shown to those after it.
type Row struct {
	Node       string   `json:"node"`
	RejectedBy string   `json:"rejectedBy,omitempty"`
	Code       string   `json:"code,omitempty"`
	Reasons    []string `json:"reasons,omitempty"`
	Scores     []int64  `json:"scores,omitempty"` // by Explanation.Scores; not weighted
	Total      int64    `json:"total,omitempty"`  // weighted
}

// Explain makes the table.
func (d *Decision) Explain() Explanation {
	e := Explanation{
		Pod: d.Pod.Namespace + "/" + d.Pod.Name, UID: d.Pod.UID, Node: d.Node,
		Total: d.Total, Looked: d.Looked,
	}
	if d.Err != nil {
		e.Message = d.Err.Error()
	}
	for _, f := range d.Filters {
		e.Filters = append(e.Filters, f.plugin)
	}
	for _, column := range d.Scores {
		e.Scores = append(e.Scores, Heading{column.Plugin, column.Weight})
	}
	for i, node := range d.Feasible {
		row := Row{Node: node.Name}
		if d.Totals != nil {
			row.Total = d.Totals[i]
		}
		for _, column := range d.Scores {
			row.Scores = append(row.Scores, column.Scores[i])
		}
		e.Nodes = append(e.Nodes, row)
	}
	slices.SortStableFunc(e.Nodes, func(a, b Row) int {
		return cmp.Or(-cmp.Compare(a.Total, b.Total), cmp.Compare(a.Node, b.Node))
	})
	for _, r := range d.Rejections {
		e.Nodes = append(e.Nodes, Row{
			Node: r.Node.Name, RejectedBy: r.Plugin,
			Code: r.Status.Code.String(), Reasons: r.Status.Reasons,
		})
	}
	return e
}
