package podstatus

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/observed"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// podOf returns a pod with init containers and sidecars, by their names, and app
// containers.
func podOf(policy corev1.RestartPolicy, names ...string) *corev1.Pod {
	pod := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: policy}}
	always := corev1.ContainerRestartPolicyAlways
	for _, name := range names {
		c := corev1.Container{Name: name, Image: "x:v1"}
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

// ran returns what is observed: "NAME:running", "NAME:EXITCODE" and so on, the
// oldest first.
func ran(text string) *observed.Pod {
	o := &observed.Pod{Sandboxes: []observed.Sandbox{{ID: "s", Ready: true, CreatedAt: now.Add(-time.Hour), IPs: []string{"10.0.0.2"}}}}
	for i, word := range strings.Fields(text) {
		name, state, _ := strings.Cut(word, ":")
		c := observed.Container{ID: fmt.Sprint("c", i), Name: name, SandboxID: "s", Image: "x:v1"}
		for _, other := range o.Containers {
			if other.Name == name {
				c.Attempt++
			}
		}
		switch state {
		case "running", "created", "unknown":
			c.State = observed.State(state)
		default:
			c.State, c.Reason = observed.Exited, "Error"
			fmt.Sscan(state, &c.ExitCode)
		}
		o.Containers = append([]observed.Container{c}, o.Containers...)
	}
	return o
}

// started is what probes say of a pod that has none.
func started(_ *corev1.Pod, s *corev1.PodStatus) {
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses} {
		for i := range list {
			is := list[i].State.Running != nil
			list[i].Started = &is
			list[i].Ready = is || list[i].State.Terminated != nil && list[i].State.Terminated.ExitCode == 0
		}
	}
}

func TestPhase(t *testing.T) {
	const always, onFailure, never = corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever
	for _, c := range []struct {
		name, observed string
		pod            *corev1.Pod
		stopped        bool
		want           corev1.PodPhase
	}{
		{"nothing yet", "", podOf(always, "a"), false, corev1.PodPending},
		{"one of two", "a:running", podOf(always, "a", "b"), false, corev1.PodPending},
		{"all run", "a:running b:running", podOf(always, "a", "b"), false, corev1.PodRunning},
		{"one is made only", "a:created", podOf(always, "a"), false, corev1.PodPending},
		{"one has ended, always", "a:0", podOf(always, "a"), false, corev1.PodRunning},
		{"one has failed, on failure", "a:1", podOf(onFailure, "a"), false, corev1.PodRunning},
		{"all ended well", "a:0 b:0", podOf(onFailure, "a", "b"), false, corev1.PodSucceeded},
		{"one failed for good", "a:0 b:1", podOf(never, "a", "b"), false, corev1.PodFailed},
		{"one failed, one runs, never", "a:1 b:running", podOf(never, "a", "b"), false, corev1.PodRunning},
		{"init runs", "init:running", podOf(always, "init", "a"), false, corev1.PodPending},
		{"init is tried again", "init:1", podOf(always, "init", "a"), false, corev1.PodPending},
		{"init failed for good", "init:1", podOf(never, "init", "a"), false, corev1.PodFailed},
		{"init is done", "init:0", podOf(always, "init", "a"), false, corev1.PodPending},
		{"a sidecar alone", "sidecar:running", podOf(always, "sidecar", "a"), false, corev1.PodPending},
		{"with its sidecar", "sidecar:running a:running", podOf(always, "sidecar", "a"), false, corev1.PodRunning},
		{"the sidecar restarts", "sidecar:1 a:running", podOf(always, "sidecar", "a"), false, corev1.PodRunning},
		{"done, the sidecar not yet", "sidecar:running a:0", podOf(never, "sidecar", "a"), false, corev1.PodRunning},
		{"done, and the sidecar failed", "sidecar:137 a:0", podOf(never, "sidecar", "a"), false, corev1.PodSucceeded},
		{"stopped, always", "a:0", podOf(always, "a"), true, corev1.PodSucceeded},
		{"stopped by force", "a:137", podOf(always, "a"), true, corev1.PodFailed},
		{"stopped before it ran", "", podOf(always, "a"), true, corev1.PodFailed},
		{"stopped before all of it ran", "a:0", podOf(always, "a", "b"), true, corev1.PodFailed},
		{"stopped before its init container ran", "", podOf(always, "init", "a"), true, corev1.PodFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Compute(Input{Pod: c.pod, Observed: ran(c.observed), Stopped: c.stopped, SetStarted: started, Now: now})
			if s.Phase != c.want {
				t.Errorf("got %s, want %s", s.Phase, c.want)
			}
		})
	}
}

func TestEndedStaysEnded(t *testing.T) {
	pod := podOf(corev1.RestartPolicyNever, "a")
	in := Input{Pod: pod, Observed: ran("a:1"), SetStarted: started, Now: now, Failed: Failure{Reason: "DeadlineExceeded", Message: "too long"}}
	first := Compute(in)
	in.Previous, in.Failed, in.Observed = first, Failure{}, ran("a:running")
	if second := Compute(in); second.Phase != corev1.PodFailed || second.Reason != "DeadlineExceeded" || second.Message != "too long" {
		t.Errorf("got %s, %s, %s", second.Phase, second.Reason, second.Message)
	}
}

func TestContainerStates(t *testing.T) {
	pod := podOf(corev1.RestartPolicyAlways, "a")
	backOff := map[string]corev1.ContainerStateWaiting{"a": {Reason: "CrashLoopBackOff"}}
	for _, c := range []struct {
		name, observed, previous string
		waiting                  map[string]corev1.ContainerStateWaiting
		stopped                  bool
		want                     string // state, last termination, restarts
	}{
		{"never seen", "", "", nil, false, "ContainerCreating - 0"},
		{"could not start", "", "", map[string]corev1.ContainerStateWaiting{"a": {Reason: "ErrImagePull"}}, false, "ErrImagePull - 0"},
		{"runs", "a:running", "", nil, false, "running - 0"},
		{"runs again", "a:3 a:running", "", nil, false, "running 3 1"},
		{"crashed", "a:3 a:4", "", nil, false, "4 3 1"},
		{"crashed and waits", "a:3 a:4", "", backOff, false, "CrashLoopBackOff 4 1"},
		{"waits no more", "a:3 a:running", "", backOff, false, "running 3 1"},
		{"ran and is gone", "", "a:running", nil, false, "ContainerCreating 137 1"},
		{"ended and is gone", "", "a:5", nil, false, "5 - 0"},
		{"nobody knows", "a:unknown", "a:running", nil, false, "137 - 1"},
		{"stopped while it waited", "a:3 a:4", "", backOff, true, "4 - 1"},
		{"stopped before it ran", "", "", nil, true, "137 - 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Input{Pod: pod, Observed: ran(c.observed), Waiting: c.waiting, Stopped: c.stopped, SetStarted: started, Now: now}
			if c.previous != "" {
				in.Previous = Compute(Input{Pod: pod, Observed: ran(c.previous), SetStarted: started, Now: now})
			}
			s := Compute(in).ContainerStatuses[0]
			last := "-"
			if s.LastTerminationState.Terminated != nil {
				last = brief(s.LastTerminationState)
			}
			if got := fmt.Sprintf("%s %s %d", brief(s.State), last, s.RestartCount); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestLastWordsShareTheirSpace(t *testing.T) {
	o := ran("a:1 b:1")
	for i := range o.Containers {
		o.Containers[i].Message = strings.Repeat("x", 10_000)
	}
	for _, s := range Compute(Input{Pod: podOf(corev1.RestartPolicyNever, "a", "b"), Observed: o, SetStarted: started, Now: now}).ContainerStatuses {
		if got := len(s.State.Terminated.Message); got != 6<<10 {
			t.Errorf("%s: got %d bytes of its message, want its half of 12 KiB", s.Name, got)
		}
	}
}

// What a container has is said of one that there is: one that waits to be made has nothing.
func TestResourcesAreThoseOfAContainer(t *testing.T) {
	pod := podOf(corev1.RestartPolicyNever, "a", "b")
	for i := range pod.Spec.Containers {
		pod.Spec.Containers[i].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
	}
	all := Compute(Input{Pod: pod, Observed: ran("a:running"), SetStarted: started, Now: now}).ContainerStatuses
	if a := all[0]; a.Resources == nil || a.Resources.Requests.Cpu().String() != "100m" || a.AllocatedResources.Cpu().String() != "100m" {
		t.Errorf("got %v of %v of a container that runs, want 100m of 100m", a.Resources, a.AllocatedResources)
	}
	if b := all[1]; b.Resources != nil || b.AllocatedResources != nil {
		t.Errorf("got %v of %v of a container that is not there, want nothing", b.Resources, b.AllocatedResources)
	}
}

func brief(s corev1.ContainerState) string {
	switch {
	case s.Running != nil:
		return "running"
	case s.Terminated != nil:
		return fmt.Sprint(s.Terminated.ExitCode)
	}
	return s.Waiting.Reason
}

func TestConditions(t *testing.T) {
	pod := podOf(corev1.RestartPolicyAlways, "init", "a")
	for _, c := range []struct{ name, observed, want string }{
		{"init runs", "init:running", "PodReadyToStartContainers Initialized=ContainersNotInitialized Ready=ContainersNotReady ContainersReady=ContainersNotReady PodScheduled"},
		{"all runs", "init:0 a:running", "PodReadyToStartContainers Initialized Ready ContainersReady PodScheduled"},
		{"crashed", "init:0 a:1", "PodReadyToStartContainers Initialized Ready=ContainersNotReady ContainersReady=ContainersNotReady PodScheduled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Compute(Input{Pod: pod, Observed: ran(c.observed), SetStarted: func(p *corev1.Pod, s *corev1.PodStatus) {
				started(p, s)
				if s.InitContainerStatuses[0].State.Running != nil {
					s.InitContainerStatuses[0].Ready = false
				}
			}, Now: now})
			var words []string
			for _, cond := range s.Conditions {
				word := string(cond.Type)
				if cond.Status != corev1.ConditionTrue {
					word += "=" + cond.Reason
				}
				words = append(words, word)
			}
			if got := strings.Join(words, " "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// Probes begin anew with each kubelet; what they had found is in the status.
// Its init containers have done their work: that they run again, in another sandbox, takes
// nothing of that back.
func TestWhoIsInitializedStaysIt(t *testing.T) {
	pod := podOf(corev1.RestartPolicyAlways, "init", "a")
	before := Compute(Input{Pod: pod, Observed: ran("init:0 a:1"), SetStarted: started, Now: now})
	after := Compute(Input{Pod: pod, Observed: ran("init:running"), Previous: before, SetStarted: func(*corev1.Pod, *corev1.PodStatus) {}, Now: now})
	if c := condition(after.Conditions, corev1.PodInitialized); c.Status != corev1.ConditionTrue {
		t.Errorf("got %+v", c)
	}
}

func TestReadinessIsThatOfTheContainerAndNotOfTheNextOne(t *testing.T) {
	pod := podOf(corev1.RestartPolicyAlways, "a")
	for observed, want := range map[string]bool{"a:running": true, "a:1 a:running": false, "a:1": false} {
		previous := Compute(Input{Pod: pod, Observed: ran("a:running"), SetStarted: started, Now: now})
		s := Compute(Input{Pod: pod, Observed: ran(observed), Previous: previous, Now: now}).ContainerStatuses[0]
		if got := s.Started != nil && *s.Started; got != want || s.Ready != want {
			t.Errorf("%s: got started %v, ready %v, want %v", observed, got, s.Ready, want)
		}
	}
}

func TestTransitionTimeIsThatOfTheChange(t *testing.T) {
	pod := podOf(corev1.RestartPolicyAlways, "a")
	first := Compute(Input{Pod: pod, Observed: ran("a:running"), SetStarted: started, Now: now})
	later := now.Add(time.Minute)
	second := Compute(Input{Pod: pod, Observed: ran("a:1"), Previous: first, SetStarted: started, Now: later})
	if got := condition(second.Conditions, corev1.PodReady).LastTransitionTime.Time; !got.Equal(later) {
		t.Errorf("Ready changed at %v, want %v", got, later)
	}
	if got := condition(second.Conditions, corev1.PodInitialized).LastTransitionTime.Time; !got.Equal(now) {
		t.Errorf("Initialized changed at %v, want %v: it did not change", got, now)
	}
}

func TestReadinessGates(t *testing.T) {
	pod := podOf(corev1.RestartPolicyAlways, "a")
	pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/lb"}}
	ready := func() corev1.PodCondition {
		s := Compute(Input{Pod: pod, Observed: ran("a:running"), SetStarted: started, Now: now})
		return *condition(s.Conditions, corev1.PodReady)
	}
	if c := ready(); c.Status != corev1.ConditionFalse || c.Reason != "ReadinessGatesNotReady" {
		t.Errorf("without the condition: got %s, %s", c.Status, c.Reason)
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: "example.com/lb", Status: corev1.ConditionTrue}}
	if c := ready(); c.Status != corev1.ConditionTrue {
		t.Errorf("with the condition: got %s, %s", c.Status, c.Message)
	}
}
