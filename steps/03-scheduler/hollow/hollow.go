// Package hollow is a fleet of nodes without machines: objects that say they are
// Ready, Leases that are renewed, and pods that are said to run as soon as they
// are bound. To everybody who only reads and writes objects, a scheduler above
// all, they are nodes like any other, and a laptop has room for thousands.
//
// The idea is that of kubemark and of KWOK (sigs.k8s.io/kwok). What such a node
// can't show is anything below the API: no process, no address, no log.
package hollow

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
)

// Label is on every node of a fleet, and on nothing else.
const Label = "groundup.local/hollow"

const prefix = "fake-"

// A Model is what all nodes of a fleet are like.
type Model struct {
	Allocatable corev1.ResourceList
	Zones       int // the nodes are dealt out over zone-1, zone-2 …; 0: no zones
}

func nodeName(i int) string { return prefix + strconv.Itoa(i) }

// number is which node of a fleet the name is of, from 1; 0 for other nodes.
func number(name string) int {
	digits, ok := strings.CutPrefix(name, prefix)
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 || nodeName(n) != name {
		return 0
	}
	return n
}

// node is the whole object, as a kubelet would have registered it.
func (m Model) node(i int, now time.Time) *corev1.Node {
	labels := map[string]string{
		corev1.LabelHostname:   nodeName(i),
		corev1.LabelOSStable:   "linux",
		corev1.LabelArchStable: "amd64",
		Label:                  "",
	}
	if m.Zones > 0 {
		labels[corev1.LabelTopologyZone] = fmt.Sprintf("zone-%d", (i-1)%m.Zones+1)
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: nodeName(i), Labels: labels},
		Status:     m.status(now),
	}
}

func (m Model) status(now time.Time) corev1.NodeStatus {
	condition := func(kind corev1.NodeConditionType, status corev1.ConditionStatus, reason, message string) corev1.NodeCondition {
		at := metav1.NewTime(now)
		return corev1.NodeCondition{Type: kind, Status: status, Reason: reason, Message: message, LastHeartbeatTime: at, LastTransitionTime: at}
	}
	return corev1.NodeStatus{
		Capacity:    m.Allocatable,
		Allocatable: m.Allocatable,
		NodeInfo:    corev1.NodeSystemInfo{KubeletVersion: "hollow", OperatingSystem: "linux", Architecture: "amd64"},
		Conditions: []corev1.NodeCondition{
			condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "there is no kubelet: this node is hollow"),
			condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory", "hollow"),
			condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure", "hollow"),
			condition(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID", "hollow"),
		},
	}
}

// A fleet renews its Leases as kubelets do, every 10 s, as long as that is not
// more than a laptop has time for, and then more rarely: but often enough for a
// node controller, which waits for 50 s.
const (
	renewAtLeast   = 10 * time.Second
	renewAtMost    = 25 * time.Second
	renewPerSecond = 50
)

func renewEvery(nodes int) time.Duration {
	return min(max(renewAtLeast, time.Duration(nodes)*time.Second/renewPerSecond), renewAtMost)
}

func lease(name string, every time.Duration, now time.Time) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: corev1.NamespaceNodeLease},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity:       &name,
			LeaseDurationSeconds: ptr.To(int32(4 * every / time.Second)),
			RenewTime:            ptr.To(metav1.NewMicroTime(now)),
		},
	}
}

// running is the status of a pod whose every container runs.
func running(pod *corev1.Pod, now time.Time) corev1.PodStatus {
	at := metav1.NewTime(now)
	s := corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &at}
	for _, kind := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady} {
		s.Conditions = append(s.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: at})
	}
	for _, c := range pod.Spec.InitContainers {
		status := corev1.ContainerStatus{Name: c.Name, Image: c.Image, Ready: true}
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			status.Started, status.State.Running = ptr.To(true), &corev1.ContainerStateRunning{StartedAt: at}
		} else {
			status.State.Terminated = &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: at, FinishedAt: at}
		}
		s.InitContainerStatuses = append(s.InitContainerStatuses, status)
	}
	for _, c := range pod.Spec.Containers {
		s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, Ready: true, Started: ptr.To(true),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at}},
		})
	}
	return s
}

// refused is the status of a pod for which there is no room, in the words of a kubelet.
func refused(why *criconfig.Rejection) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodFailed, Reason: why.Reason, Message: "Pod was rejected: " + why.Message}
}

// An act is what a fleet does about a pod.
type act int

const (
	nothing act = iota
	run         // say that it runs, if there is room for it
	end         // take it away: its grace period has begun, and nothing needs it
)

// decide is all that a hollow kubelet thinks about.
func decide(pod *corev1.Pod, nodes int) act {
	n := number(pod.Spec.NodeName)
	switch {
	case n == 0:
		return nothing
	case n > nodes, pod.DeletionTimestamp != nil:
		return end
	case pod.Status.Phase == corev1.PodPending:
		return run
	}
	return nothing
}
