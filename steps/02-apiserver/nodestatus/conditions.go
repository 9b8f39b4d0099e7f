package nodestatus

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// A wording is how upstream says that a condition is so.
type wording struct {
	reason, message string
	event           string // the reason of the event when it has become so
}

var (
	memoryShort  = wording{"KubeletHasInsufficientMemory", "kubelet has insufficient memory available", "NodeHasInsufficientMemory"}
	memoryEnough = wording{"KubeletHasSufficientMemory", "kubelet has sufficient memory available", "NodeHasSufficientMemory"}
	diskShort    = wording{"KubeletHasDiskPressure", "kubelet has disk pressure", "NodeHasDiskPressure"}
	diskEnough   = wording{"KubeletHasNoDiskPressure", "kubelet has no disk pressure", "NodeHasNoDiskPressure"}
	pidShort     = wording{"KubeletHasInsufficientPID", "kubelet has insufficient PID available", "NodeHasInsufficientPID"}
	pidEnough    = wording{"KubeletHasSufficientPID", "kubelet has sufficient PID available", "NodeHasSufficientPID"}
	ready        = wording{"KubeletReady", "kubelet is posting ready status", "NodeReady"}
	notReady     = wording{"KubeletNotReady", "", "NodeNotReady"}
)

// conditions returns the node's conditions: those of others as they are, and then
// the kubelet's, of which Ready is the last, as kubectl describe shows them.
func conditions(old []corev1.NodeCondition, f Facts) []corev1.NodeCondition {
	well := notReady
	if len(f.NotReady) == 0 {
		well = ready
	} else {
		well.message = strings.Join(f.NotReady, ", ")
	}
	ours := []corev1.NodeCondition{
		pressure(corev1.NodeMemoryPressure, f.Pressure.Memory, memoryShort, memoryEnough),
		pressure(corev1.NodeDiskPressure, f.Pressure.Disk, diskShort, diskEnough),
		pressure(corev1.NodePIDPressure, f.Pressure.PID, pidShort, pidEnough),
		{Type: corev1.NodeReady, Status: boolean(len(f.NotReady) == 0), Reason: well.reason, Message: well.message},
	}
	var all []corev1.NodeCondition
	for _, c := range old {
		if find(ours, c.Type) == nil {
			all = append(all, c)
		}
	}
	for _, c := range ours {
		c.LastHeartbeatTime, c.LastTransitionTime = f.Now, f.Now
		if before := find(old, c.Type); before != nil && before.Status == c.Status {
			c.LastTransitionTime = before.LastTransitionTime
		}
		all = append(all, c)
	}
	return all
}

func pressure(t corev1.NodeConditionType, short bool, yes, no wording) corev1.NodeCondition {
	w := no
	if short {
		w = yes
	}
	return corev1.NodeCondition{Type: t, Status: boolean(short), Reason: w.reason, Message: w.message}
}

func boolean(b bool) corev1.ConditionStatus {
	if b {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

func find(all []corev1.NodeCondition, t corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range all {
		if all[i].Type == t {
			return &all[i]
		}
	}
	return nil
}

// transitions returns the reasons of the events that tell of the difference
// between two sets of conditions.
func transitions(before, after []corev1.NodeCondition) []string {
	words := map[string]string{}
	for _, w := range []wording{memoryShort, memoryEnough, diskShort, diskEnough, pidShort, pidEnough, ready, notReady} {
		words[w.reason] = w.event
	}
	var events []string
	for _, c := range after {
		old := find(before, c.Type)
		if event := words[c.Reason]; event != "" && (old == nil || old.Status != c.Status) {
			events = append(events, event)
		}
	}
	return events
}
