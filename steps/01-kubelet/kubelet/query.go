package kubelet

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/observed"
)

// PodStatus returns what was reported last of a pod; ok is false before that.
func (k *Kubelet) PodStatus(uid types.UID) (s corev1.PodStatus, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := k.workers[uid]
	if w == nil || w.status.Phase == "" {
		return s, false
	}
	return w.status, true
}

// Pods returns the pods that the sources want and those that are still being
// stopped, each with its status.
func (k *Kubelet) Pods() []*corev1.Pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	var pods []*corev1.Pod
	for _, w := range k.workers {
		pod := w.pod.DeepCopy()
		if w.status.Phase != "" {
			pod.Status = *w.status.DeepCopy()
		}
		pods = append(pods, pod)
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(nameOf(a), nameOf(b)), cmp.Compare(a.UID, b.UID))
	})
	return pods
}

// RunningPods returns the pods that the runtime has, reconstructed from it alone.
func (k *Kubelet) RunningPods(ctx context.Context) ([]*corev1.Pod, error) {
	all, err := observed.List(ctx, k.Runtime)
	if err != nil {
		return nil, err
	}
	var pods []*corev1.Pod
	for _, p := range all {
		if p.Alive() {
			pods = append(pods, p.Spec())
		}
	}
	return pods, nil
}

// Knows reports whether a worker is responsible for the pod: what belongs to any
// other pod is left over and may be removed. It is always true until every
// source has spoken.
func (k *Kubelet) Knows(uid types.UID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.desired) < len(k.Sources) || k.workers[uid] != nil
}

// SyncLoopHealthy returns an error when the runtime has not answered for three
// minutes, as upstream's PLEG check does.
func (k *Kubelet) SyncLoopHealthy() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if age := time.Since(k.relisted); age > 3*time.Minute {
		return fmt.Errorf("pleg was last seen active %v ago; threshold is 3m0s", age.Round(time.Second))
	}
	return nil
}
