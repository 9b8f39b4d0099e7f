package ending

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

func TestHowAnObjectEnds(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	at := func(seconds int64) *metav1.Time {
		t := metav1.NewTime(now.Add(time.Duration(seconds) * time.Second))
		return &t
	}
	n := func(v int64) *int64 { return &v }
	var none, pods resource.Strategy
	pods.GracePeriod = func(_ resource.Object, asked *int64) int64 {
		if asked == nil {
			return 30
		}
		return max(*asked, 0)
	}
	orphan := metav1.DeletePropagationOrphan
	for _, c := range []struct {
		name   string
		row    resource.Strategy
		meta   metav1.ObjectMeta
		o      metav1.DeleteOptions
		gone   bool
		date   *metav1.Time
		grace  int64
		keptBy []string
	}{
		{name: "nothing keeps it", row: none, gone: true},
		{name: "a finalizer keeps it", row: none, meta: metav1.ObjectMeta{Finalizers: []string{"f"}}, date: at(0), keptBy: []string{"f"}},
		{name: "the garbage collector is to orphan what it owns", row: none, o: metav1.DeleteOptions{PropagationPolicy: &orphan}, date: at(0), keptBy: []string{"orphan"}},
		{name: "it has its own time", row: pods, date: at(30), grace: 30},
		{name: "it has the time that was asked for", row: pods, o: metav1.DeleteOptions{GracePeriodSeconds: n(5)}, date: at(5), grace: 5},
		{name: "it has no time", row: pods, o: metav1.DeleteOptions{GracePeriodSeconds: n(0)}, gone: true, date: at(0)},
		{name: "it has had none", row: pods, meta: metav1.ObjectMeta{DeletionTimestamp: at(-1), DeletionGracePeriodSeconds: n(0)}, gone: true},
		{name: "it is kept as before", row: none, meta: metav1.ObjectMeta{DeletionTimestamp: at(-1), DeletionGracePeriodSeconds: n(0), Finalizers: []string{"f"}}},
		{name: "nothing belongs to it", row: resource.Strategy{NoDependents: true}, o: metav1.DeleteOptions{PropagationPolicy: &orphan}, gone: true},
		{name: "it is ending already", row: pods, meta: metav1.ObjectMeta{DeletionTimestamp: at(30), DeletionGracePeriodSeconds: n(30)}},
		{name: "nobody gets more time", row: pods, meta: metav1.ObjectMeta{DeletionTimestamp: at(30), DeletionGracePeriodSeconds: n(30)}, o: metav1.DeleteOptions{GracePeriodSeconds: n(60)}},
		{name: "time can be cut", row: pods, meta: metav1.ObjectMeta{DeletionTimestamp: at(20), DeletionGracePeriodSeconds: n(30)}, o: metav1.DeleteOptions{GracePeriodSeconds: n(15)}, date: at(5), grace: 15},
		{name: "not into the past", row: pods, meta: metav1.ObjectMeta{DeletionTimestamp: at(5), DeletionGracePeriodSeconds: n(30)}, o: metav1.DeleteOptions{GracePeriodSeconds: n(10)}, date: at(0), grace: 1},
		{name: "to nothing", row: pods, meta: metav1.ObjectMeta{DeletionTimestamp: at(30), DeletionGracePeriodSeconds: n(30)}, o: metav1.DeleteOptions{GracePeriodSeconds: n(0)}, gone: true, date: at(0)},
		{name: "to nothing, but a finalizer keeps it", row: pods, meta: metav1.ObjectMeta{DeletionTimestamp: at(30), DeletionGracePeriodSeconds: n(30), Finalizers: []string{"f"}}, o: metav1.DeleteOptions{GracePeriodSeconds: n(0)}, date: at(0), keptBy: []string{"f"}},
	} {
		r := Rule{c.row, func() time.Time { return now }}
		old := &corev1.ConfigMap{ObjectMeta: c.meta}
		next, gone := r.Next(old, &c.o)
		if gone != c.gone || (next == nil) != (c.date == nil) {
			t.Errorf("%s: got %v, gone %v", c.name, next, gone)
			continue
		}
		if next == nil {
			continue
		}
		if !next.GetDeletionTimestamp().Equal(c.date) || *next.GetDeletionGracePeriodSeconds() != c.grace || fmt.Sprint(next.GetFinalizers()) != fmt.Sprint(c.keptBy) {
			t.Errorf("%s: got a deletion at %v, %d s, kept by %v, want %v, %d s, %v", c.name,
				next.GetDeletionTimestamp(), *next.GetDeletionGracePeriodSeconds(), next.GetFinalizers(), c.date, c.grace, c.keptBy)
		}
	}
}

func TestTheLastThatKeptItEndsIt(t *testing.T) {
	zero, ten, date := int64(0), int64(10), metav1.NewTime(time.Unix(1000, 0))
	byRow := resource.Strategy{Finalizers: func(o resource.Object) []string { return o.(*corev1.ConfigMap).Finalizers }}
	for name, c := range map[string]struct {
		row  resource.Strategy
		old  metav1.ObjectMeta
		left []string // finalizers
		over bool
	}{
		"it is not deleted":     {old: metav1.ObjectMeta{}},
		"nothing keeps it":      {old: metav1.ObjectMeta{DeletionTimestamp: &date}, over: true},
		"its time has run out":  {old: metav1.ObjectMeta{DeletionTimestamp: &date, DeletionGracePeriodSeconds: &zero}, over: true},
		"it has time":           {old: metav1.ObjectMeta{DeletionTimestamp: &date, DeletionGracePeriodSeconds: &ten}},
		"another finalizer":     {old: metav1.ObjectMeta{DeletionTimestamp: &date}, left: []string{"f"}},
		"the row's own, though": {row: byRow, old: metav1.ObjectMeta{DeletionTimestamp: &date}, left: []string{"f"}},
	} {
		obj := &corev1.ConfigMap{ObjectMeta: c.old}
		obj.Finalizers = c.left
		if got := (Rule{c.row, time.Now}).Over(obj, &corev1.ConfigMap{ObjectMeta: c.old}); got != c.over {
			t.Errorf("%s: got %v, want %v", name, got, c.over)
		}
	}
}
