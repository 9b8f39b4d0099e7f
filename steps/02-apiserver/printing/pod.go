package printing

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PodColumns are the columns of pods.
var PodColumns = columns{
	name,
	column("Ready", "The aggregate readiness state of this pod for accepting traffic."),
	column("Status", "The aggregate status of the containers in this pod."),
	column("Restarts", "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted."),
	age,
	wide("IP", doc(corev1.PodStatus{}, "podIP")),
	wide("Node", doc(corev1.PodSpec{}, "nodeName")),
	wide("Nominated Node", doc(corev1.PodStatus{}, "nominatedNodeName")),
	wide("Readiness Gates", doc(corev1.PodSpec{}, "readinessGates")),
}

// PodLine says of a line that its pod has come to its end.
func PodLine(p *corev1.Pod) []metav1.TableRowCondition {
	ended := func(message string) []metav1.TableRowCondition {
		return []metav1.TableRowCondition{{Type: metav1.RowCompleted, Status: metav1.ConditionTrue, Reason: string(p.Status.Phase), Message: message}}
	}
	switch p.Status.Phase {
	case corev1.PodSucceeded:
		return ended("The pod has completed successfully.")
	case corev1.PodFailed:
		return ended("The pod failed.")
	}
	return nil
}

// Pod is the line of a pod.
func Pod(p *corev1.Pod) []any {
	s := summarize(p)
	restarts := fmt.Sprint(s.restarts)
	if s.restarts > 0 && !s.lastRestart.IsZero() {
		restarts += fmt.Sprintf(" (%s ago)", since(s.lastRestart))
	}
	ip := ""
	if len(p.Status.PodIPs) > 0 {
		ip = p.Status.PodIPs[0].IP
	}
	return []any{p.Name, fmt.Sprintf("%d/%d", s.ready, s.total), s.status, restarts, ageOf(p),
		or(ip, none), or(p.Spec.NodeName, none), or(p.Status.NominatedNodeName, none), gates(p)}
}

// A summary is what all containers of a pod together look like. The word is not
// the phase: it is the most interesting thing that can be said, such as
// CrashLoopBackOff or Init:0/1.
type summary struct {
	ready, total int
	status       string
	restarts     int
	lastRestart  time.Time
}

func summarize(p *corev1.Pod) summary {
	s := summary{total: len(p.Spec.Containers), status: or(p.Status.Reason, string(p.Status.Phase))}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonSchedulingGated {
			s.status = c.Reason
		}
	}
	initializing := s.init(p)
	if !initializing || isTrue(p, corev1.PodInitialized) {
		s.main(p)
	}
	switch phase := p.Status.Phase; {
	case p.DeletionTimestamp == nil:
	case p.Status.Reason == "NodeLost":
		s.status = "Unknown"
	case phase != corev1.PodSucceeded && phase != corev1.PodFailed:
		s.status = "Terminating"
	}
	return s
}

// init looks at the containers that run before the others, and returns whether
// the pod still waits for one.
func (s *summary) init(p *corev1.Pod) (initializing bool) {
	for _, c := range p.Spec.InitContainers {
		if isSidecar(p, c.Name) {
			s.total++
		}
	}
	for i, c := range p.Status.InitContainerStatuses {
		s.restarted(c)
		ended := c.State.Terminated
		if ended != nil && ended.ExitCode == 0 {
			continue
		}
		if isSidecar(p, c.Name) && c.Started != nil && *c.Started {
			if c.Ready {
				s.ready++
			}
			continue
		}
		switch waiting := c.State.Waiting; {
		case ended != nil:
			s.status = "Init:" + ending(ended)
		case waiting != nil && waiting.Reason != "" && waiting.Reason != "PodInitializing":
			s.status = "Init:" + waiting.Reason
		default:
			s.status = fmt.Sprintf("Init:%d/%d", i, len(p.Spec.InitContainers))
		}
		return true
	}
	return false
}

// main looks at the pod's containers proper; what other init containers than
// sidecars went through no longer counts.
func (s *summary) main(p *corev1.Pod) {
	s.restarts, s.lastRestart = 0, time.Time{}
	for _, c := range p.Status.InitContainerStatuses {
		if isSidecar(p, c.Name) {
			s.restarted(c)
		}
	}
	running, failed := false, ""
	for i := len(p.Status.ContainerStatuses) - 1; i >= 0; i-- {
		c := p.Status.ContainerStatuses[i]
		s.restarted(c)
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "":
			s.status = c.State.Waiting.Reason
		case c.State.Terminated != nil:
			s.status = ending(c.State.Terminated)
			if c.State.Terminated.ExitCode != 0 {
				failed = s.status
			}
		case c.Ready && c.State.Running != nil:
			running = true
			s.ready++
		}
	}
	switch {
	case s.status != "Completed": // the first container's word, if others did not end as well
	case running && isTrue(p, corev1.PodReady):
		s.status = "Running"
	case failed != "":
		s.status = failed
	case running:
		s.status = "NotReady"
	}
}

func (s *summary) restarted(c corev1.ContainerStatus) {
	s.restarts += int(c.RestartCount)
	if last := c.LastTerminationState.Terminated; last != nil && last.FinishedAt.After(s.lastRestart) {
		s.lastRestart = last.FinishedAt.Time
	}
}

// ending says how a container ended.
func ending(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", t.ExitCode)
}

func isSidecar(p *corev1.Pod, name string) bool {
	for _, c := range p.Spec.InitContainers {
		if c.Name == name {
			return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		}
	}
	return false
}

func isTrue(p *corev1.Pod, kind corev1.PodConditionType) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == kind {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// gates is how many of the pod's readiness gates are open.
func gates(p *corev1.Pod) string {
	if len(p.Spec.ReadinessGates) == 0 {
		return none
	}
	open := 0
	for _, g := range p.Spec.ReadinessGates {
		if isTrue(p, g.ConditionType) {
			open++
		}
	}
	return fmt.Sprintf("%d/%d", open, len(p.Spec.ReadinessGates))
}
