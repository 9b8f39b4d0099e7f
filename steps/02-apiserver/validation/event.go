package validation

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Event checks an event of core/v1, of which little is asked, but for the fields
// that events.k8s.io made.
func Event(e *corev1.Event) field.ErrorList {
	f := &findings{}
	f.event(e, "reportingComponent")
	return f.list
}

// EventUpdate checks a change of an event of core/v1: anything may change.
func EventUpdate(e, _ *corev1.Event) field.ErrorList { return Event(e) }

// event checks what is common to both groups; the field that names the
// controller has a name in each.
func (f *findings) event(e *corev1.Event, controller string) {
	about := e.InvolvedObject.Namespace
	elsewhere := func() {
		f.invalid(field.NewPath("involvedObject", "namespace"), about, "does not match event.namespace")
	}
	if e.EventTime.IsZero() {
		if own := about == e.Namespace; !own && !(about == "" && e.Namespace == metav1.NamespaceDefault) {
			elsewhere()
		}
		return
	}
	if about == "" && e.Namespace != metav1.NamespaceDefault && e.Namespace != metav1.NamespaceSystem {
		elsewhere()
	}
	if e.ReportingController == "" {
		f.required(field.NewPath(controller), "")
	}
	f.qualified(field.NewPath(controller), e.ReportingController)
	for _, text := range []struct {
		field, value string
		max          int
	}{{"reportingInstance", e.ReportingInstance, 128}, {"action", e.Action, 128}, {"reason", e.Reason, 128}} {
		if text.value == "" {
			f.required(field.NewPath(text.field), "")
		}
		f.atMost(field.NewPath(text.field), text.value, text.max)
	}
	f.atMost(field.NewPath("message"), e.Message, 1024)
}

func (f *findings) atMost(p *field.Path, value string, max int) {
	if len(value) > max {
		f.invalid(p, "", fmt.Sprintf("can have at most %d characters", max))
	}
}

// EventV1 checks an event of events.k8s.io, given as the one of core/v1 that it is
// stored as.
func EventV1(e *corev1.Event) field.ErrorList {
	f := &findings{}
	f.event(e, "reportingController")
	f.meta(&e.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	f.series(e.Series)
	if e.EventTime.IsZero() {
		f.required(field.NewPath("eventTime"), "")
	}
	if e.Type != corev1.EventTypeNormal && e.Type != corev1.EventTypeWarning {
		f.invalid(field.NewPath("type"), "", fmt.Sprintf("has invalid value: %v", e.Type))
	}
	for _, old := range []struct {
		field string
		set   bool
	}{{"firstTimestamp", !e.FirstTimestamp.IsZero()}, {"lastTimestamp", !e.LastTimestamp.IsZero()},
		{"count", e.Count != 0}, {"source", e.Source != corev1.EventSource{}}} {
		if old.set {
			f.invalid(field.NewPath(old.field), "", "needs to be unset")
		}
	}
	return f.list
}

func (f *findings) series(s *corev1.EventSeries) {
	if s == nil {
		return
	}
	if s.Count < 2 {
		f.invalid(field.NewPath("series.count"), "", "should be at least 2")
	}
	if s.LastObservedTime.IsZero() {
		f.required(field.NewPath("series.lastObservedTime"), "")
	}
}

// EventV1Update lets only the series go on: what happened does not change.
func EventV1Update(e, old *corev1.Event) field.ErrorList {
	f := &findings{}
	f.event(e, "reportingController")
	f.metaUpdate(&e.ObjectMeta, &old.ObjectMeta)
	if !equality.Semantic.DeepEqual(e.Series, old.Series) {
		f.series(e.Series)
	}
	for _, kept := range []struct {
		field      string
		value, old any
	}{
		{"involvedObject", e.InvolvedObject, old.InvolvedObject},
		{"reason", e.Reason, old.Reason},
		{"message", e.Message, old.Message},
		{"source", e.Source, old.Source},
		{"firstTimestamp", e.FirstTimestamp, old.FirstTimestamp},
		{"lastTimestamp", e.LastTimestamp, old.LastTimestamp},
		{"count", e.Count, old.Count},
		{"type", e.Type, old.Type},
		{"action", e.Action, old.Action},
		{"related", e.Related, old.Related},
		{"reportingController", e.ReportingController, old.ReportingController},
		{"reportingInstance", e.ReportingInstance, old.ReportingInstance},
	} {
		f.same(field.NewPath(kept.field), kept.value, kept.old)
	}
	if !e.EventTime.Truncate(time.Microsecond).Equal(old.EventTime.Truncate(time.Microsecond)) {
		f.same(field.NewPath("eventTime"), e.EventTime, old.EventTime)
	}
	return f.list
}
