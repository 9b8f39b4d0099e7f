package printing

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// EventColumns are the columns of events, of either group.
var EventColumns = columns{
	column("Last Seen", doc(corev1.Event{}, "lastTimestamp")),
	column("Type", doc(corev1.Event{}, "type")),
	column("Reason", doc(corev1.Event{}, "reason")),
	column("Object", doc(corev1.Event{}, "involvedObject")),
	wide("Subobject", doc(corev1.ObjectReference{}, "fieldPath")),
	wide("Source", doc(corev1.Event{}, "source")),
	column("Message", doc(corev1.Event{}, "message")),
	wide("First Seen", doc(corev1.Event{}, "firstTimestamp")),
	wide("Count", doc(corev1.Event{}, "count")),
	wideName(),
}

func wideName() columnDefinition {
	c := name
	c.Priority = 1
	return c
}

// Event is the line of an event. One that happens again and again has a series.
func Event(e *corev1.Event) []any {
	first, count := since(e.FirstTimestamp.Time), max(e.Count, 1)
	if e.FirstTimestamp.IsZero() {
		first = since(e.EventTime.Time)
	}
	last := since(e.LastTimestamp.Time)
	if e.LastTimestamp.IsZero() {
		last = first
	}
	if e.Series != nil {
		last, count = since(e.Series.LastObservedTime.Time), e.Series.Count
	}
	about := strings.ToLower(e.InvolvedObject.Kind)
	if e.InvolvedObject.Name != "" {
		about += "/" + e.InvolvedObject.Name
	}
	return []any{last, e.Type, e.Reason, about, e.InvolvedObject.FieldPath, source(e),
		strings.TrimSpace(e.Message), first, int64(count), e.Name}
}

func source(e *corev1.Event) string {
	component, instance := or(e.Source.Component, e.ReportingController), or(e.Source.Host, e.ReportingInstance)
	if instance == "" {
		return component
	}
	return component + ", " + instance
}
