// Package trace tells the life of a pod as the store has it: every write, in the
// order of etcd's revisions, with who made it and what it changed; and what the
// pod waits for now.
package trace

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A Version is a pod as one write left it.
type Version struct {
	Revision int64 // of etcd
	Pod      corev1.Pod
}

// A Step is one write.
type Step struct {
	Revision int64
	Who      string
	What     []string
}

// Story tells the writes, oldest first. The first version need not be the pod's
// creation: what was before may have been compacted away.
func Story(versions []Version) []Step {
	var steps []Step
	for i, v := range versions {
		s := Step{Revision: v.Revision}
		if i == 0 {
			s.Who, s.What = creator(v.Pod), []string{"created " + ofNode(v.Pod)}
		} else {
			s.Who, s.What = writer(versions[i-1].Pod, v.Pod), changes(versions[i-1].Pod, v.Pod)
		}
		steps = append(steps, s)
	}
	return steps
}

func ofNode(p corev1.Pod) string {
	if p.Spec.NodeName == "" {
		return "without a node"
	}
	return "for " + p.Spec.NodeName
}

func creator(p corev1.Pod) string {
	if len(p.ManagedFields) == 0 {
		return "?"
	}
	return p.ManagedFields[0].Manager
}

// writer is the manager whose fields are new. The server's own writes, such as a
// binding or the wish to delete, are nobody's.
func writer(before, after corev1.Pod) string {
	for _, m := range after.ManagedFields {
		if !slices.ContainsFunc(before.ManagedFields, func(old metav1.ManagedFieldsEntry) bool { return equality.Semantic.DeepEqual(old, m) }) {
			return m.Manager
		}
	}
	return "kube-apiserver"
}

// changes says in words what a write has changed.
func changes(a, b corev1.Pod) (what []string) {
	say := func(differs bool, format string, args ...any) {
		if differs {
			what = append(what, fmt.Sprintf(format, args...))
		}
	}
	say(a.Spec.NodeName != b.Spec.NodeName, "bound to %s", b.Spec.NodeName)
	say(a.Status.Phase != b.Status.Phase, "phase %s", b.Status.Phase)
	say(a.Status.PodIP != b.Status.PodIP, "address %s", b.Status.PodIP)
	for _, c := range b.Status.Conditions {
		if old := condition(a, c.Type); old == nil || old.Status != c.Status {
			say(true, "%s=%s%s", c.Type, c.Status, because(c.Reason))
		}
	}
	for _, c := range b.Status.ContainerStatuses {
		if now, then := state(c), stateIn(a, c.Name); now != then {
			say(true, "container %s %s", c.Name, now)
		}
	}
	say(a.DeletionTimestamp == nil && b.DeletionTimestamp != nil, "to be deleted, with %d s of grace", grace(b))
	say(!equality.Semantic.DeepEqual(a.Labels, b.Labels), "labels")
	say(!equality.Semantic.DeepEqual(a.Annotations, b.Annotations), "annotations")
	spec := b.Spec.DeepCopy()
	spec.NodeName = a.Spec.NodeName
	say(!equality.Semantic.DeepEqual(a.Spec, *spec), "spec")
	if len(what) == 0 {
		return []string{"details of its status"}
	}
	return what
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

func grace(p corev1.Pod) int64 {
	if p.DeletionGracePeriodSeconds == nil {
		return 0
	}
	return *p.DeletionGracePeriodSeconds
}

func condition(p corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == kind {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}

func stateIn(p corev1.Pod, name string) string {
	for _, c := range p.Status.ContainerStatuses {
		if c.Name == name {
			return state(c)
		}
	}
	return ""
}

func state(c corev1.ContainerStatus) string {
	switch s := c.State; {
	case s.Running != nil:
		return "running" + times(c.RestartCount)
	case s.Terminated != nil:
		return fmt.Sprintf("ended with %d%s%s", s.Terminated.ExitCode, because(s.Terminated.Reason), times(c.RestartCount))
	case s.Waiting != nil:
		return "waiting" + because(s.Waiting.Reason)
	}
	return "unknown"
}

func times(restarts int32) string {
	if restarts == 0 {
		return ""
	}
	return fmt.Sprintf(", restarted %d×", restarts)
}

// Waits says what the pod waits for now and who has to act, or nothing when it
// waits for nobody. Scheduler says whether the cluster has one.
func Waits(p corev1.Pod, scheduler bool) string {
	switch {
	case p.Spec.NodeName == "" && len(p.Spec.SchedulingGates) > 0:
		return "it waits for its scheduling gates to be taken away"
	case p.Spec.NodeName == "" && !scheduler:
		return "it waits for a node, and nobody watches for pods that have none: that is the scheduler of step 03. Until then bind it yourself (`lab tasks`)"
	case p.Spec.NodeName == "":
		if c := condition(p, corev1.PodScheduled); c != nil && c.Message != "" {
			return "it waits for a node: " + c.Message
		}
		return "it waits for the scheduler, which has not looked at it yet: `lab logs kube-scheduler`"
	case p.DeletionTimestamp != nil:
		return "it waits for the kubelet of " + p.Spec.NodeName + " to stop it and to say so"
	case p.Status.Phase == corev1.PodPending:
		var why []string
		for _, c := range p.Status.ContainerStatuses {
			if w := c.State.Waiting; w != nil && w.Message != "" {
				why = append(why, c.Name+": "+w.Message)
			}
		}
		if len(why) > 0 {
			return "it waits on " + p.Spec.NodeName + ": " + strings.Join(why, "; ")
		}
		return "it waits for the kubelet of " + p.Spec.NodeName
	}
	return ""
}
