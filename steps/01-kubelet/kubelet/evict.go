package kubelet

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podstatus"
)

// evictionGrace is how many seconds the containers of an evicted pod get: what
// it takes too much of, it goes on taking until it is gone.
const evictionGrace = int64(1)

// systemCritical is the lowest priority that only the system's own classes have.
const systemCritical = int32(2_000_000_000)

// Evict ends a pod that takes more than it may: its phase becomes Failed, the
// reason Evicted, and whoever made the pod may make another one. It may be
// called again and again for the same pod, and does not wait for the end.
//
// A critical pod stays: nobody would make a static pod anew before its manifest
// changes, and the node may depend on it. Upstream: eviction_manager.go, evictPod.
func (k *Kubelet) Evict(pod *corev1.Pod, message string) {
	if Critical(pod) {
		k.Log.Warn("a critical pod is not evicted", "pod", nameOf(pod), "why", message)
		return
	}
	grace, failed := evictionGrace, podstatus.Failure{Reason: "Evicted", Message: message}
	if k.orderAlive(pod.UID, ending{grace: &grace, failed: failed}) {
		k.event(pod, nil, corev1.EventTypeWarning, failed.Reason, message)
	}
}

// End ends a pod for another reason, whatever it is: its phase becomes Failed, and
// its containers get grace seconds, or less if the pod says so. Like Evict it does
// not wait. It reports whether the pod goes on until then: one that is being
// stopped or has ended is left as it is.
func (k *Kubelet) End(pod *corev1.Pod, grace int64, why podstatus.Failure) bool {
	if own := pod.Spec.TerminationGracePeriodSeconds; own != nil {
		grace = min(grace, *own)
	}
	return k.orderAlive(pod.UID, ending{grace: &grace, failed: why})
}

// Running returns the pods of which something may run.
func (k *Kubelet) Running() []*corev1.Pod {
	return slices.DeleteFunc(k.Pods(), func(pod *corev1.Pod) bool { return !k.alive(pod.UID) })
}

func (k *Kubelet) alive(uid types.UID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := k.workers[uid]
	return w != nil && w.alive
}

// orderAlive has a pod stopped unless nothing of it runs, and reports whether
// that changes anything.
func (k *Kubelet) orderAlive(uid types.UID, e ending) (changed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := k.workers[uid]
	return w != nil && w.alive && w.stop(e)
}

// Critical reports whether the node would rather do without other pods.
func Critical(pod *corev1.Pod) bool {
	p := pod.Spec.Priority
	return podsource.IsStatic(pod) || p != nil && *p >= systemCritical
}
