package plugins_test

import (
	"testing"
	"time"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework/frameworktest"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
)

func TestPrioritySort(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	queued := func(spec string, since time.Time) framework.Queued {
		return framework.Queued{Pod: frameworktest.Pod(t, "p", spec), Since: since}
	}
	for _, row := range []struct {
		name string
		a, b framework.Queued
		want bool
	}{
		{"higher priority", queued(`spec: {priority: 1}`, noon.Add(1)), queued(``, noon), true},
		{"lower priority", queued(`spec: {priority: -1}`, noon), queued(``, noon.Add(1)), false},
		{"waits longer", queued(``, noon), queued(``, noon.Add(1)), true},
		{"waits as long", queued(``, noon), queued(``, noon), false},
	} {
		if got := (plugins.PrioritySort{}).Less(row.a, row.b); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}
