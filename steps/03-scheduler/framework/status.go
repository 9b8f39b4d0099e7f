package framework

import "strings"

// A Code says what a rejection means for preemption.
type Code int

const (
	// Success: nothing against it. A nil Status says the same.
	Success Code = iota

	// Error: the question could not be answered; the pod is tried again.
	Error

	// Unschedulable: not now, but with other pods gone it might be possible.
	Unschedulable

	// UnschedulableAndUnresolvable: taking pods away would not help either.
	UnschedulableAndUnresolvable
)

func (c Code) String() string {
	return [...]string{"Success", "Error", "Unschedulable", "UnschedulableAndUnresolvable"}[c]
}

// A Status is a plugin's answer. It is never changed, so a plugin makes the few
// that it has in advance and hands out the same ones to thousands of nodes.
type Status struct {
	Code    Code
	Reasons []string
}

// Reject returns a status for a node that other pods' removal might free.
func Reject(reasons ...string) *Status {
	return &Status{Code: Unschedulable, Reasons: reasons}
}

// RejectForGood returns a status that no removal of pods would change.
func RejectForGood(reasons ...string) *Status {
	return &Status{Code: UnschedulableAndUnresolvable, Reasons: reasons}
}

// Failed returns the status for an error.
func Failed(err error) *Status {
	return &Status{Code: Error, Reasons: []string{err.Error()}}
}

// OK reports whether s has nothing against the pod. A nil status has not.
func (s *Status) OK() bool { return s == nil || s.Code == Success }

// Rejected reports whether s says no, for now or for good.
func (s *Status) Rejected() bool {
	return s != nil && (s.Code == Unschedulable || s.Code == UnschedulableAndUnresolvable)
}

// Message is the reasons in one line.
func (s *Status) Message() string {
	if s == nil {
		return ""
	}
	return strings.Join(s.Reasons, ", ")
}
