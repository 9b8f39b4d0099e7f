package kubelet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/observed"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/probe"
)

// podWith returns a pod; containers are named for what they are: "init…",
// "sidecar…", everything else is an app container. A name that ends in "?" has a
// startup probe.
func podWith(policy corev1.RestartPolicy, names ...string) *corev1.Pod {
	pod := &corev1.Pod{}
	pod.Spec.RestartPolicy = policy
	always := corev1.ContainerRestartPolicyAlways
	for _, name := range names {
		name, probed := strings.CutSuffix(name, "?")
		c := corev1.Container{Name: name, Image: "x:v1"}
		if probed {
			c.StartupProbe = &corev1.Probe{}
		}
		switch {
		case strings.HasPrefix(name, "sidecar"):
			c.RestartPolicy = &always
			fallthrough
		case strings.HasPrefix(name, "init"):
			pod.Spec.InitContainers = append(pod.Spec.InitContainers, c)
		default:
			pod.Spec.Containers = append(pod.Spec.Containers, c)
		}
	}
	return pod
}

// see returns what was observed of a pod, written as "sandbox:ready init:0
// web:running other:137@0": states by container, an exit code meaning that it has
// exited, and after @ the attempt of the sandbox if it is not the newest one.
func see(pod *corev1.Pod, text string) *observed.Pod {
	o := &observed.Pod{}
	for i, word := range strings.Fields(text) {
		name, state, _ := strings.Cut(word, ":")
		state, in, other := strings.Cut(state, "@")
		if name == "sandbox" {
			n := len(o.Sandboxes)
			o.Sandboxes = slices.Insert(o.Sandboxes, 0, observed.Sandbox{ID: fmt.Sprint("s", n), Attempt: uint32(n), Ready: state == "ready"})
			continue
		}
		c := observed.Container{ID: name, Name: name, SandboxID: o.SandboxID(), CreatedAt: time.Unix(int64(i), 0)}
		if other {
			c.SandboxID = "s" + in
		}
		if spec := specOf(pod, name); spec != nil {
			c.Info.Hash = criconfig.Hash(spec)
		}
		switch state {
		case "running", "created", "unknown":
			c.State = observed.State(state)
		case "changed":
			c.State, c.Info.Hash = observed.Running, "another"
		default:
			c.State = observed.Exited
			fmt.Sscan(state, &c.ExitCode)
		}
		o.Containers = slices.Insert(o.Containers, 0, c)
	}
	return o
}

func TestDecide(t *testing.T) {
	const always, onFailure, never = corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever
	for _, c := range []struct {
		name     string
		pod      *corev1.Pod
		observed string
		probes   string // "NAME:Kind:Result …"
		want     string
	}{
		// The sandbox.
		{"a new pod", podWith(always, "a", "b"), "", "", "sandbox#0 start:a start:b"},
		{"a new pod with init containers", podWith(always, "init1", "init2", "a"), "", "", "sandbox#0 start:init1"},
		{"a sandbox without containers", podWith(always, "a"), "sandbox:ready", "", "start:a"},
		{"a dead sandbox", podWith(always, "a"), "sandbox:dead a:137", "", "sandbox#1 start:a"},
		{"a dead sandbox, init again", podWith(always, "init", "a"), "sandbox:dead init:0 a:137", "", "sandbox#1 start:init"},
		{"two sandboxes at once", podWith(always, "a"), "sandbox:ready sandbox:ready", "", "sandbox#2 start:a"},
		{"a dead sandbox, never again", podWith(never, "a"), "sandbox:dead a:137", "", "end"},
		{"a dead sandbox before anything ran", podWith(never, "a"), "sandbox:dead", "", "sandbox#1 start:a"},
		{"a dead sandbox, all done", podWith(onFailure, "a"), "sandbox:dead a:0", "", "end"},
		{"a dead sandbox, one of two done", podWith(onFailure, "a", "b"), "sandbox:dead a:0 b:1", "", "sandbox#1 start:b"},

		// App containers.
		{"all run", podWith(always, "a", "b"), "sandbox:ready a:running b:running", "", ""},
		{"one is missing", podWith(always, "a", "b"), "sandbox:ready a:running", "", "start:b"},
		{"made and not started", podWith(always, "a"), "sandbox:ready a:created", "", "start:a"},
		{"ended, always", podWith(always, "a"), "sandbox:ready a:0", "", "start:a"},
		{"ended well, on failure", podWith(onFailure, "a"), "sandbox:ready a:0", "", "end"},
		{"failed, on failure", podWith(onFailure, "a"), "sandbox:ready a:1", "", "start:a"},
		{"failed, never", podWith(never, "a"), "sandbox:ready a:1", "", "end"},
		{"one ended, never, one runs", podWith(never, "a", "b"), "sandbox:ready a:1 b:running", "", ""},
		{"nobody knows", podWith(always, "a"), "sandbox:ready a:unknown", "", "kill:a start:a"},
		{"the spec has changed", podWith(never, "a"), "sandbox:ready a:changed", "", "kill:a start:a"},
		{"liveness fails", podWith(always, "a", "b"), "sandbox:ready a:running b:running", "a:Liveness:Failure", "kill:a start:a"},
		{"liveness fails, never again", podWith(never, "a", "b"), "sandbox:ready a:running b:running", "a:Liveness:Failure", "kill:a"},
		{"liveness fails, never again, alone", podWith(never, "a"), "sandbox:ready a:running", "a:Liveness:Failure", "end"},
		{"startup fails", podWith(always, "a?"), "sandbox:ready a:running", "a:Startup:Failure", "kill:a start:a"},
		{"readiness fails", podWith(always, "a"), "sandbox:ready a:running", "a:Readiness:Failure", ""},

		// Init containers.
		{"the first runs", podWith(always, "init1", "init2", "a"), "sandbox:ready init1:running", "", ""},
		{"the first is done", podWith(always, "init1", "init2", "a"), "sandbox:ready init1:0", "", "start:init2"},
		{"the last is done", podWith(always, "init1", "init2", "a"), "sandbox:ready init1:0 init2:0", "", "start:a"},
		{"the first was forgotten", podWith(always, "init1", "init2", "a"), "sandbox:ready init2:0", "", "start:a"},
		{"all were forgotten", podWith(always, "init", "a"), "sandbox:ready a:1", "", "start:a"},
		{"one fails", podWith(onFailure, "init", "a"), "sandbox:ready init:1", "", "start:init"},
		{"one fails, never", podWith(never, "init", "a"), "sandbox:ready init:1", "", "end"},
		{"one ended in an earlier sandbox", podWith(always, "init", "a"), "sandbox:dead init:0 sandbox:ready", "", "start:init"},
		{"the app ran in an earlier sandbox", podWith(always, "init", "a"), "sandbox:dead init:0 a:137 sandbox:ready init:running", "", ""},
		{"nobody knows of one", podWith(always, "init", "a"), "sandbox:ready init:unknown", "", "kill:init start:init"},

		// Sidecars.
		{"a sidecar runs", podWith(always, "sidecar", "a"), "sandbox:ready sidecar:running", "", "start:a"},
		{"a sidecar starts slowly", podWith(always, "sidecar?", "a"), "sandbox:ready sidecar:running", "", ""},
		{"a sidecar has started", podWith(always, "sidecar?", "init", "a"), "sandbox:ready sidecar:running", "sidecar:Startup:Success", "start:init"},
		{"a sidecar can't start", podWith(always, "sidecar?", "a"), "sandbox:ready sidecar:running", "sidecar:Startup:Failure", "kill:sidecar start:sidecar"},
		{"a sidecar crashes before the app", podWith(always, "sidecar", "init", "a"), "sandbox:ready sidecar:1 init:running", "", "start:sidecar"},
		{"a sidecar crashes beside the app", podWith(always, "sidecar", "a"), "sandbox:ready sidecar:0 a:running", "", "start:sidecar"},
		{"a sidecar was forgotten", podWith(always, "sidecar", "a"), "sandbox:ready a:running", "", "start:sidecar"},
		{"a sidecar's liveness fails", podWith(always, "sidecar", "a"), "sandbox:ready sidecar:running a:running", "sidecar:Liveness:Failure", "kill:sidecar start:sidecar"},
		{"sidecars do not keep a pod", podWith(onFailure, "sidecar1", "sidecar2", "a"), "sandbox:ready sidecar1:running sidecar2:1 a:0", "", "end"},
		{"a sidecar before an init container", podWith(always, "sidecar", "init", "a"), "sandbox:ready sidecar:running init:0", "", "start:a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			results := func(kind probe.Kind, id string) (probe.Result, bool) {
				for _, word := range strings.Fields(c.probes) {
					if rest, ok := strings.CutPrefix(word, id+":"+string(kind)+":"); ok {
						return probe.Result(rest), true
					}
				}
				return probe.Unknown, false
			}
			if got := decide(c.pod, see(c.pod, c.observed), results).String(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestRulesOfContainersComeFirst(t *testing.T) {
	pod := podWith(corev1.RestartPolicyNever, "a")
	own := corev1.ContainerRestartPolicyNever
	pod.Spec.Containers[0].RestartPolicy = &own
	pod.Spec.Containers[0].RestartPolicyRules = []corev1.ContainerRestartRule{{Action: corev1.ContainerRestartRuleActionRestart,
		ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}}}}
	none := func(probe.Kind, string) (probe.Result, bool) { return probe.Unknown, false }
	for observed, want := range map[string]string{"sandbox:ready a:42": "start:a", "sandbox:ready a:1": "end"} {
		if got := decide(pod, see(pod, observed), none).String(); got != want {
			t.Errorf("%s: got %q, want %q", observed, got, want)
		}
	}
}

func TestStopOrder(t *testing.T) {
	pod := podWith(corev1.RestartPolicyAlways, "sidecar1", "sidecar2", "a", "b")
	o := see(pod, "sandbox:ready sidecar1:running sidecar2:running a:running b:running")
	got := stopOrder(pod, o.Containers)
	for id, want := range map[string]int{"a": 0, "b": 0, "sidecar2": 2, "sidecar1": 3} {
		if len(got[id]) != want {
			t.Errorf("%s stops after %v, want %d of them", id, got[id], want)
		}
	}
}
