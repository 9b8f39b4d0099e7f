package plugins_test

import (
	"testing"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework/frameworktest"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
)

func TestSchedulingGates(t *testing.T) {
	for _, row := range []struct{ name, pod, want string }{
		{"open", ``, ""},
		{"two gates", `spec: {schedulingGates: [{name: quota}, {name: audit}]}`, "waiting for scheduling gates: [quota audit]"},
	} {
		if got := (plugins.SchedulingGates{}).PreEnqueue(frameworktest.Pod(t, "p", row.pod)).Message(); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
	const gated = `spec: {schedulingGates: [{name: quota}]}`
	checkHints(t, plugins.SchedulingGates{}, []hint{
		{name: "gate opened", event: selfUpdated(t, gated, ""), want: true},
		{name: "gate stays", event: selfUpdated(t, gated, gated)},
	})
}
