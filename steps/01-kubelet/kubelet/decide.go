package kubelet

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/observed"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podstatus"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/probe"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/resize"
)

// actions are the next steps that bring a pod closer to its spec. They need not
// be the last: what follows is decided when these have had their effect.
type actions struct {
	End     bool   // the pod has finished, or failed for good: stop what is left
	Sandbox bool   // stop everything and make a new sandbox first
	Attempt uint32 // of the sandbox, the present or the new one
	Kill    []kill
	Start   []*corev1.Container // in this order
	Resize  []resize.Change     // of containers that go on
}

// none says that the pod is as it should be.
func (a actions) none() bool {
	return !a.End && !a.Sandbox && len(a.Kill) == 0 && len(a.Start) == 0 && len(a.Resize) == 0
}

// kill stops a container although its pod goes on.
type kill struct {
	Container observed.Container
	Spec      *corev1.Container
	Probe     probe.Kind // that failed; "" for another reason
	Message   string
}

// String is the actions in a line, for logs and tests: "sandbox#0 start:web".
func (a actions) String() string {
	var words []string
	if a.End {
		words = append(words, "end")
	}
	if a.Sandbox {
		words = append(words, fmt.Sprintf("sandbox#%d", a.Attempt))
	}
	for _, k := range a.Kill {
		words = append(words, "kill:"+k.Container.Name)
	}
	for _, c := range a.Resize {
		words = append(words, "resize:"+c.Container.Name)
	}
	for _, c := range a.Start {
		words = append(words, "start:"+c.Name)
	}
	return strings.Join(words, " ")
}

// results tells what the probes of a container have established.
type results func(kind probe.Kind, containerID string) (probe.Result, bool)

func (r results) failed(kind probe.Kind, id string) bool {
	got, ok := r(kind, id)
	return ok && got == probe.Failure
}

// decide compares the pod's spec with what was observed. It is a function of
// its arguments alone, and all that the kubelet knows about the order in which a
// pod comes up. It follows computePodActions in upstream's kuberuntime_manager.go.
func decide(pod *corev1.Pod, o *observed.Pod, probes results) actions {
	if podstatus.NeedsSandbox(o) != "" {
		return decideSandbox(pod, o)
	}
	a := actions{Attempt: o.Sandbox().Attempt}
	for i := range pod.Spec.EphemeralContainers {
		// One that was started is never started again.
		if c := criconfig.Ephemeral(&pod.Spec.EphemeralContainers[i]); o.Container(c.Name) == nil {
			a.Start = append(a.Start, c)
		}
	}
	if initialized := a.decideInit(pod, o, probes); initialized && !a.End {
		a.decideApps(pod, o, probes)
	}
	return a
}

// decideSandbox begins the pod from the start, or again after its sandbox died:
// whatever ran in the old one runs again, init containers included, unless the
// pod's restart policy says that it is done.
func decideSandbox(pod *corev1.Pod, o *observed.Pod) actions {
	a := actions{Sandbox: true}
	if s := o.Sandbox(); s != nil {
		a.Attempt = s.Attempt + 1
	}
	var apps []*corev1.Container
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if last := o.Container(c.Name); last == nil || last.State != observed.Exited || podstatus.RestartsAfter(pod, c, last.ExitCode) {
			apps = append(apps, c)
		}
	}
	ranBefore := a.Attempt > 0 && len(o.Containers) > 0
	switch never := pod.Spec.RestartPolicy == corev1.RestartPolicyNever; {
	case never && ranBefore, len(apps) == 0:
		return actions{End: true}
	case len(pod.Spec.InitContainers) > 0:
		a.Start = []*corev1.Container{&pod.Spec.InitContainers[0]}
	default:
		a.Start = apps
	}
	return a
}

// decideResize adds what it takes to give containers the resources that they
// should have, where nothing else happens to them already.
func (a *actions) decideResize(plan []resize.Change) {
	if a.End || a.Sandbox {
		return
	}
	for _, c := range plan {
		switch {
		case slices.ContainsFunc(a.Kill, func(k kill) bool { return k.Container.ID == c.Container.ID }):
		case c.Restart:
			a.Kill = append(a.Kill, kill{Container: c.Container, Spec: c.Spec,
				Message: fmt.Sprintf("Container %s resize requires restart", c.Spec.Name)})
			a.Start = append(a.Start, c.Spec)
		default:
			a.Resize = append(a.Resize, c)
		}
	}
}

// decideInit brings the init containers forward, one at a time, and keeps the
// sidecars among them running. It reports whether the app containers may start.
//
// It looks for the last init container that has been started in this sandbox:
// those before it are done, even if the runtime has forgotten them.
func (a *actions) decideInit(pod *corev1.Pod, o *observed.Pod, probes results) (initialized bool) {
	specs := pod.Spec.InitContainers
	last := len(specs) - 1
	initialized = podstatus.Initialized(pod, o)
	if !initialized {
		for last >= 0 && o.Active(specs[last].Name) == nil {
			last--
		}
	}
	for i := range specs[:last+1] {
		c := &specs[i]
		got := o.Active(c.Name)
		current := i == last && !initialized
		switch {
		case podstatus.IsSidecar(c):
			done := a.decideSidecar(c, got, probes)
			if current && !done {
				return false
			}
		case current:
			if done := a.decideInitContainer(pod, c, got); !done {
				return false
			}
		}
	}
	if last == len(specs)-1 {
		return true
	}
	a.Start = append(a.Start, &specs[last+1])
	return false
}

// decideInitContainer looks at the init container whose turn it is and reports
// whether it has done its work.
func (a *actions) decideInitContainer(pod *corev1.Pod, c *corev1.Container, got *observed.Container) (done bool) {
	switch got.State {
	case observed.Running:
		return false
	case observed.Exited:
		if got.ExitCode == 0 {
			return true
		}
		if !podstatus.RestartsAfter(pod, c, got.ExitCode) {
			*a = actions{End: true, Attempt: a.Attempt}
			return false
		}
	case observed.Unknown:
		a.Kill = append(a.Kill, unknown(c, got))
	}
	a.Start = append(a.Start, c)
	return false
}

// decideSidecar keeps a sidecar running and reports whether it has started, so
// that the next init container may.
func (a *actions) decideSidecar(c *corev1.Container, got *observed.Container, probes results) (started bool) {
	if got == nil || got.State != observed.Running {
		if got != nil && got.State == observed.Unknown {
			a.Kill = append(a.Kill, unknown(c, got))
		}
		a.Start = append(a.Start, c)
		return false
	}
	if k := unfit(c, got, probes, "Init container"); k != nil {
		a.Kill, a.Start = append(a.Kill, *k), append(a.Start, c)
		return false
	}
	if c.StartupProbe == nil {
		return true
	}
	result, _ := probes(probe.Startup, got.ID)
	return result == probe.Success
}

// decideApps starts what has to run, and stops what runs and should not.
func (a *actions) decideApps(pod *corev1.Pod, o *observed.Pod, probes results) {
	keep, starts := 0, 0
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		got := o.Container(c.Name)
		if got == nil || got.State != observed.Running {
			if !podstatus.ShouldStart(pod, c, got) {
				continue
			}
			if got != nil && got.State == observed.Unknown {
				a.Kill = append(a.Kill, unknown(c, got))
			}
			a.Start, starts = append(a.Start, c), starts+1
			continue
		}
		k := unfit(c, got, probes, "Container")
		if k == nil {
			keep++
			continue
		}
		// 137 is the exit code of a container that had to be killed.
		if k.Probe == "" || podstatus.RestartsAfter(pod, c, 137) {
			k.Message += ", will be restarted"
			a.Start, starts = append(a.Start, c), starts+1
		}
		a.Kill = append(a.Kill, *k)
	}
	if keep == 0 && starts == 0 {
		*a = actions{End: true, Attempt: a.Attempt}
	}
}

// unfit says why a running container has to be stopped, or nil.
func unfit(c *corev1.Container, got *observed.Container, probes results, what string) *kill {
	k := &kill{Container: *got, Spec: c}
	switch {
	case got.Info.Hash != criconfig.Hash(c):
		k.Message = fmt.Sprintf("%s %s definition changed", what, c.Name)
	case probes.failed(probe.Liveness, got.ID):
		k.Probe = probe.Liveness
		k.Message = fmt.Sprintf("%s %s failed liveness probe", what, c.Name)
	case probes.failed(probe.Startup, got.ID):
		k.Probe = probe.Startup
		k.Message = fmt.Sprintf("%s %s failed startup probe", what, c.Name)
	default:
		return nil
	}
	return k
}

// unknown stops a container that may still have a process, so that it never
// runs twice.
func unknown(c *corev1.Container, got *observed.Container) kill {
	return kill{Container: *got, Spec: c,
		Message: fmt.Sprintf("Container is in %q state, try killing it before restart", got.State)}
}

// stopOrder returns, for each of the containers, those that have to be gone
// before it is told to stop: sidecars outlive the app containers, and the last
// that was started goes first (KEP-753).
func stopOrder(pod *corev1.Pod, running []observed.Container) map[string][]string {
	after := map[string][]string{}
	var later []string // what stops before the sidecar that is looked at
	for _, c := range running {
		sidecar := slices.ContainsFunc(pod.Spec.InitContainers, func(i corev1.Container) bool { return i.Name == c.Name })
		if !sidecar {
			later = append(later, c.ID)
		}
	}
	for _, spec := range slices.Backward(pod.Spec.InitContainers) {
		for _, c := range running {
			if c.Name == spec.Name {
				after[c.ID] = slices.Clone(later)
				later = append(later, c.ID)
			}
		}
	}
	return after
}
