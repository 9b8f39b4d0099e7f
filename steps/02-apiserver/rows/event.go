package rows

import (
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/printing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/validation"
)

// Events is the row of events. (They expire: the server deletes an event an hour
// after it was last written, as it is told by its flag --event-ttl.)
func Events() resource.Resource {
	return resource.Resource{
		GroupVersionKind: corev1.SchemeGroupVersion.WithKind("Event"),
		Name:             "events",
		Singular:         "event",
		ShortNames:       []string{"ev"},
		Namespaced:       true,
		Prefix:           "events",
		New:              typed.New[corev1.Event],
		NewList:          typed.List[corev1.EventList],
		Strategy: resource.Strategy{
			Validate:       typed.One(validation.Event),
			ValidateUpdate: typed.Two(validation.EventUpdate),
			CreateOnUpdate: true,
			NoDependents:   true,
		},
		Columns: printing.EventColumns,
		Cells:   typed.One(printing.Event),
		Fields: typed.One(func(e *corev1.Event) fields.Set {
			set := eventFields(e, "involvedObject")
			set["reportingComponent"] = e.ReportingController
			set["source"] = e.Source.Component
			if e.Source.Component == "" {
				set["source"] = e.ReportingController
			}
			return set
		}),
	}
}

// EventsV1 is the row of the same events with the fields' newer names.
func EventsV1() resource.Resource {
	return resource.Resource{
		GroupVersionKind: eventsv1.SchemeGroupVersion.WithKind("Event"),
		Name:             "events",
		Singular:         "event",
		ShortNames:       []string{"ev"},
		Namespaced:       true,
		Prefix:           "events",
		New:              typed.New[eventsv1.Event],
		NewList:          typed.List[eventsv1.EventList],
		SameAs:           schema.GroupResource{Resource: "events"},
		To:               func(o resource.Object) (resource.Object, error) { return toCore(o.(*eventsv1.Event)), nil },
		From:             func(o resource.Object) (resource.Object, error) { return fromCore(o.(*corev1.Event)), nil },
		Strategy: resource.Strategy{
			Validate: typed.One(func(e *eventsv1.Event) field.ErrorList { return validation.EventV1(toCore(e)) }),
			ValidateUpdate: typed.Two(func(e, old *eventsv1.Event) field.ErrorList {
				return validation.EventV1Update(toCore(e), toCore(old))
			}),
			CreateOnUpdate: true,
			NoDependents:   true,
		},
		Columns: printing.EventColumns,
		Cells:   typed.One(func(e *eventsv1.Event) []any { return printing.Event(toCore(e)) }),
		Fields: typed.One(func(e *eventsv1.Event) fields.Set {
			set := eventFields(toCore(e), "regarding")
			set["reportingController"] = e.ReportingController
			return set
		}),
	}
}

// eventFields are those of both groups, with the name by which each calls the
// object that the event is about.
func eventFields(e *corev1.Event, about string) fields.Set {
	return fields.Set{
		about + ".kind":            e.InvolvedObject.Kind,
		about + ".namespace":       e.InvolvedObject.Namespace,
		about + ".name":            e.InvolvedObject.Name,
		about + ".uid":             string(e.InvolvedObject.UID),
		about + ".apiVersion":      e.InvolvedObject.APIVersion,
		about + ".resourceVersion": e.InvolvedObject.ResourceVersion,
		about + ".fieldPath":       e.InvolvedObject.FieldPath,
		"reason":                   e.Reason,
		"type":                     e.Type,
	}
}

func toCore(e *eventsv1.Event) *corev1.Event {
	out := &corev1.Event{
		ObjectMeta:          e.ObjectMeta,
		InvolvedObject:      e.Regarding,
		Reason:              e.Reason,
		Message:             e.Note,
		Source:              e.DeprecatedSource,
		FirstTimestamp:      e.DeprecatedFirstTimestamp,
		LastTimestamp:       e.DeprecatedLastTimestamp,
		Count:               e.DeprecatedCount,
		Type:                e.Type,
		EventTime:           e.EventTime,
		Action:              e.Action,
		Related:             e.Related,
		ReportingController: e.ReportingController,
		ReportingInstance:   e.ReportingInstance,
	}
	if s := e.Series; s != nil {
		out.Series = &corev1.EventSeries{Count: s.Count, LastObservedTime: s.LastObservedTime}
	}
	out.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Event"))
	return out
}

func fromCore(e *corev1.Event) *eventsv1.Event {
	out := &eventsv1.Event{
		ObjectMeta:               e.ObjectMeta,
		EventTime:                e.EventTime,
		ReportingController:      e.ReportingController,
		ReportingInstance:        e.ReportingInstance,
		Action:                   e.Action,
		Reason:                   e.Reason,
		Regarding:                e.InvolvedObject,
		Related:                  e.Related,
		Note:                     e.Message,
		Type:                     e.Type,
		DeprecatedSource:         e.Source,
		DeprecatedFirstTimestamp: e.FirstTimestamp,
		DeprecatedLastTimestamp:  e.LastTimestamp,
		DeprecatedCount:          e.Count,
	}
	if s := e.Series; s != nil {
		out.Series = &eventsv1.EventSeries{Count: s.Count, LastObservedTime: s.LastObservedTime}
	}
	out.SetGroupVersionKind(eventsv1.SchemeGroupVersion.WithKind("Event"))
	return out
}
