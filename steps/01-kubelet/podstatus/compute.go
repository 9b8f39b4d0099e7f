package podstatus

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/observed"
)

// Reasons of container states, as upstream words them.
const (
	ContainerCreating      = "ContainerCreating"
	PodInitializing        = "PodInitializing"
	ContainerStatusUnknown = "ContainerStatusUnknown"
)

// An Input is all that a pod's status depends on.
type Input struct {
	Pod      *corev1.Pod
	Observed *observed.Pod
	Previous corev1.PodStatus // what was reported last; zero at first

	// Waiting says, by container, why it could not be started last time.
	Waiting map[string]corev1.ContainerStateWaiting

	// Stopped means that the kubelet has stopped the pod for good: what did
	// not finish will not.
	Stopped bool

	// Failed, when its Reason is set, is why the kubelet ended the pod:
	// DeadlineExceeded, or a refusal to run it.
	Failed Failure

	// SetStarted sets Started and Ready of the container statuses, which
	// depend on probes, and are what they were last before; nil for a pod without.
	SetStarted func(*corev1.Pod, *corev1.PodStatus)

	// Resources are, by container, what it has where that is not yet what Pod says,
	// and Resize the conditions that tell of it.
	Resources map[string]corev1.ResourceRequirements
	Resize    []corev1.PodCondition

	HostIPs []string // of the node, primary first
	Runtime string   // scheme of container IDs, such as "groundup"
	Now     time.Time
}

// A Failure makes a pod's phase Failed, whatever its containers say.
type Failure struct {
	Reason, Message string
	Refused         bool // nothing of the pod has ever run, or will
}

// Compute returns the pod's status. It follows generateAPIPodStatus in
// upstream's kubelet_pods.go.
func Compute(in Input) corev1.PodStatus {
	if in.Failed.Refused {
		return corev1.PodStatus{Phase: corev1.PodFailed, Reason: in.Failed.Reason, Message: in.Failed.Message,
			QOSClass: criconfig.QOS(in.Pod), StartTime: startTime(in), ObservedGeneration: in.Pod.Generation}
	}
	s := corev1.PodStatus{
		QOSClass:              criconfig.QOS(in.Pod),
		StartTime:             startTime(in),
		ObservedGeneration:    in.Pod.Generation,
		InitContainerStatuses: containers(in, in.Pod.Spec.InitContainers, in.Previous.InitContainerStatuses, true),
		ContainerStatuses:     containers(in, in.Pod.Spec.Containers, in.Previous.ContainerStatuses, false),
	}
	s.EphemeralContainerStatuses = containers(in, ephemeral(in.Pod), in.Previous.EphemeralContainerStatuses, false)
	if in.SetStarted != nil {
		in.SetStarted(in.Pod, &s)
	}
	if in.Stopped {
		neverRan(in.Pod, &s)
	}
	shorten(&s)
	addresses(in, &s)
	decidePhase(in, &s)
	s.Conditions = conditions(in, s)
	return s
}

// maxMessages is how many bytes the last words of all containers of a pod may have, each an
// equal share: a pod of many containers would else be too large to keep.
const maxMessages = 12 << 10

func shorten(s *corev1.PodStatus) {
	lists := [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses}
	share := maxMessages / max(1, len(slices.Concat(lists...)))
	for _, list := range lists {
		for i := range list {
			for _, state := range []*corev1.ContainerState{&list[i].State, &list[i].LastTerminationState} {
				if t := state.Terminated; t != nil && len(t.Message) > share {
					short := *t
					short.Message = t.Message[:share]
					state.Terminated = &short
				}
			}
		}
	}
}

func ephemeral(pod *corev1.Pod) []corev1.Container {
	var all []corev1.Container
	for i := range pod.Spec.EphemeralContainers {
		all = append(all, *criconfig.Ephemeral(&pod.Spec.EphemeralContainers[i]))
	}
	return all
}

// startTime is when this kubelet first saw the pod, or, after a restart, when
// its first sandbox was made.
func startTime(in Input) *metav1.Time {
	if in.Previous.StartTime != nil {
		return in.Previous.StartTime
	}
	if n := len(in.Observed.Sandboxes); n > 0 {
		return &metav1.Time{Time: in.Observed.Sandboxes[n-1].CreatedAt}
	}
	return &metav1.Time{Time: in.Now}
}

func addresses(in Input, s *corev1.PodStatus) {
	for _, ip := range in.HostIPs {
		s.HostIPs = append(s.HostIPs, corev1.HostIP{IP: ip})
	}
	if len(in.HostIPs) > 0 {
		s.HostIP = in.HostIPs[0]
	}
	var ips []string
	if sandbox := in.Observed.Sandbox(); sandbox != nil {
		ips = sandbox.IPs
		if in.Pod.Spec.HostNetwork {
			ips = in.HostIPs
		}
	}
	for _, ip := range ips {
		s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: ip})
	}
	if len(ips) > 0 {
		s.PodIP = ips[0]
	}
}

// containers returns one status for each of specs, in their order.
func containers(in Input, specs []corev1.Container, previous []corev1.ContainerStatus, init bool) []corev1.ContainerStatus {
	var all []corev1.ContainerStatus
	for i := range specs {
		c := &specs[i]
		var old corev1.ContainerStatus
		if n := slices.IndexFunc(previous, func(s corev1.ContainerStatus) bool { return s.Name == c.Name }); n >= 0 {
			old = previous[n]
		}
		all = append(all, container(in, c, old, init))
	}
	return all
}

func container(in Input, c *corev1.Container, old corev1.ContainerStatus, init bool) corev1.ContainerStatus {
	var attempts []observed.Container // newest first
	for _, a := range in.Observed.Containers {
		if a.Name == c.Name {
			attempts = append(attempts, a)
		}
	}
	s := corev1.ContainerStatus{Name: c.Name, Image: c.Image, VolumeMounts: mounts(c)}
	if len(attempts) == 0 {
		neverSeen(in, &s, old, init)
	} else {
		fill(in, &s, attempts[0], old)
		s.Resources, s.AllocatedResources = c.Resources.DeepCopy(), c.Resources.Requests
		if actual, changing := in.Resources[c.Name]; changing {
			s.Resources = &actual
		}
	}
	if len(attempts) > 1 && attempts[1].State == observed.Exited {
		s.LastTerminationState = state(in, attempts[1])
	} else if s.LastTerminationState.Terminated == nil {
		s.LastTerminationState = old.LastTerminationState
	}
	couldNotStart(in, c, &s, attempts)
	if in.Stopped {
		neverFinished(in, &s)
	}
	return s
}

func fill(in Input, s *corev1.ContainerStatus, c observed.Container, old corev1.ContainerStatus) {
	s.ContainerID = in.Runtime + "://" + c.ID
	s.RestartCount = int32(c.Attempt)
	s.Image, s.ImageID, s.User = cmp.Or(c.Image, s.Image), c.ImageRef, c.User
	s.State = state(in, c)
	if c.State == observed.Running && s.ContainerID == old.ContainerID {
		s.Started, s.Ready = old.Started, old.Ready // until probes say otherwise: they begin anew with each kubelet
	}
	if c.State == observed.Unknown && old.State.Running != nil {
		s.State = lost("The container could not be located when the pod was terminated")
		s.RestartCount = old.RestartCount + 1
	}
}

func state(in Input, c observed.Container) corev1.ContainerState {
	switch c.State {
	case observed.Running:
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(c.StartedAt)}}
	case observed.Exited:
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: c.ExitCode, Reason: c.Reason, Message: c.Message, ContainerID: in.Runtime + "://" + c.ID,
			StartedAt: metav1.NewTime(c.StartedAt), FinishedAt: metav1.NewTime(c.FinishedAt),
		}}
	}
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}
}

// neverSeen fills the status of a container of which the runtime knows nothing.
func neverSeen(in Input, s *corev1.ContainerStatus, old corev1.ContainerStatus, init bool) {
	s.State.Waiting = &corev1.ContainerStateWaiting{Reason: ContainerCreating}
	if len(in.Pod.Spec.InitContainers) > 0 {
		s.State.Waiting.Reason = PodInitializing
	}
	s.RestartCount, s.LastTerminationState = old.RestartCount, old.LastTerminationState
	switch {
	case old.State.Terminated != nil: // it was removed after it had ended
		*s = old
	case old.State.Running != nil && old.LastTerminationState.Terminated == nil:
		// It ran, and nobody can tell how it ended: that it did must not be
		// lost, or the pod would seem never to have run.
		s.LastTerminationState = lost("The container could not be located when the pod was deleted.  The container used to be Running")
		if in.Pod.DeletionTimestamp == nil {
			s.RestartCount++
		}
	case init && Initialized(in.Pod, in.Observed):
		if c := specOf(in.Pod.Spec.InitContainers, s.Name); c != nil && !IsSidecar(c) {
			s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed",
				Message: "Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally"}}
		}
	}
}

// couldNotStart shows a container that should run and can't as waiting, with
// the reason, and moves its end to the last termination state.
func couldNotStart(in Input, c *corev1.Container, s *corev1.ContainerStatus, attempts []observed.Container) {
	why, ok := in.Waiting[c.Name]
	if !ok {
		return
	}
	var last *observed.Container
	if len(attempts) > 0 {
		last = &attempts[0]
	}
	if !ShouldStart(in.Pod, c, last) {
		return
	}
	if s.State.Terminated != nil {
		s.LastTerminationState = s.State
	}
	s.State = corev1.ContainerState{Waiting: &why}
}

// neverFinished ends a status of a pod that was stopped for good: a container
// that ran once is not waiting for anything any more.
func neverFinished(in Input, s *corev1.ContainerStatus) {
	switch {
	case s.State.Terminated != nil:
	case s.LastTerminationState.Terminated != nil && s.State.Waiting != nil:
		s.State, s.LastTerminationState = s.LastTerminationState, corev1.ContainerState{}
	case s.State.Running != nil, s.ContainerID != "":
		s.State = lost("The container could not be located when the pod was terminated")
	}
}

// neverRan ends what a pod that was stopped for good was still waiting for: where
// its init containers had done their work every app container, and of these those
// whose turn it had been. It follows TerminatePod in upstream's status_manager.go.
func neverRan(pod *corev1.Pod, s *corev1.PodStatus) {
	end := func(all []corev1.ContainerStatus) {
		for i := range all {
			if all[i].State.Terminated == nil {
				all[i].State = lost("The container could not be located when the pod was terminated")
			}
		}
	}
	began := func(c corev1.ContainerStatus) bool {
		return c.State.Waiting == nil || c.LastTerminationState.Terminated != nil
	}
	last := len(s.InitContainerStatuses) - 1
	if last < 0 || slices.ContainsFunc(s.ContainerStatuses, began) || initDone(&pod.Spec.InitContainers[last], s.InitContainerStatuses[last]) {
		end(s.ContainerStatuses)
	}
	for last > 0 && !began(s.InitContainerStatuses[last]) {
		last--
	}
	end(s.InitContainerStatuses[:last+1])
}

// initDone reports whether an init container has done its work, or a sidecar has started.
func initDone(c *corev1.Container, s corev1.ContainerStatus) bool {
	if IsSidecar(c) {
		return s.State.Running != nil && s.Started != nil && *s.Started
	}
	end := lastEnd(s)
	return end != nil && end.ExitCode == 0
}

func lost(message string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		Reason: ContainerStatusUnknown, Message: message, ExitCode: 137}}
}

func mounts(c *corev1.Container) []corev1.VolumeMountStatus {
	var all []corev1.VolumeMountStatus
	for _, m := range c.VolumeMounts {
		s := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			mode := corev1.RecursiveReadOnlyDisabled
			if m.RecursiveReadOnly != nil && *m.RecursiveReadOnly != corev1.RecursiveReadOnlyDisabled {
				mode = corev1.RecursiveReadOnlyEnabled
			}
			s.RecursiveReadOnly = &mode
		}
		all = append(all, s)
	}
	return all
}

func specOf(all []corev1.Container, name string) *corev1.Container {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}
