package kubelet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/observed"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/probe"
)

// minimumGrace is what a container gets to stop even when a preStop hook or its
// predecessors have used up the time, or there was none.
const minimumGrace = 2 * time.Second

// stopPod stops everything of the pod and reports how it ended.
func (k *Kubelet) stopPod(ctx context.Context, w *worker, t turn) error {
	k.Probes.StopLivenessAndStartup(t.pod.UID)
	o, err := observed.Read(ctx, k.Runtime, t.pod.UID)
	if err != nil {
		return err
	}
	k.report(w, t.pod, o, t.ending, nil)
	grace := gracePeriod(t.pod)
	if t.ending.grace != nil {
		grace = time.Duration(*t.ending.grace) * time.Second
	}
	grace = max(grace, time.Second) // even a pod that is to end at once has its hooks begun
	if err := k.stopAll(ctx, t.pod, o, grace); err != nil {
		return err
	}
	k.Probes.Remove(t.pod.UID)
	if o, err = observed.Read(ctx, k.Runtime, t.pod.UID); err != nil {
		return err
	}
	w.stopped = true
	k.report(w, t.pod, o, t.ending, nil)
	return nil
}

// release takes away what the pod held on the node. Its dead containers and
// their logs stay, for whoever wants to know what happened.
func (k *Kubelet) release(ctx context.Context, pod *corev1.Pod) error {
	if err := k.Volumes.Unmount(ctx, pod.UID); err != nil {
		return fmt.Errorf("unmount volumes: %w", err)
	}
	if err := k.Cgroups.Remove(pod.UID); err != nil {
		return fmt.Errorf("remove the pod's cgroup: %w", err)
	}
	if k.IDs != nil {
		return k.IDs.Release(pod.UID)
	}
	return nil
}

// removePod removes the last traces of a pod.
func (k *Kubelet) removePod(ctx context.Context, pod *corev1.Pod) error {
	o, err := observed.Read(ctx, k.Runtime, pod.UID)
	if err != nil {
		return err
	}
	for _, s := range o.Sandboxes {
		if _, err := k.Runtime.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: s.ID}); err != nil {
			return fmt.Errorf("remove sandbox %s: %w", s.ID, err)
		}
	}
	return errors.Join(os.RemoveAll(k.Node.PodDir(pod.UID)), os.RemoveAll(k.Node.LogDir(pod)))
}

// gracePeriod is how long the pod's containers get to stop by themselves.
func gracePeriod(pod *corev1.Pod) time.Duration {
	seconds := int64(corev1.DefaultTerminationGracePeriodSeconds)
	switch {
	case pod.DeletionGracePeriodSeconds != nil:
		seconds = *pod.DeletionGracePeriodSeconds
	case pod.Spec.TerminationGracePeriodSeconds != nil:
		seconds = *pod.Spec.TerminationGracePeriodSeconds
	}
	return time.Duration(seconds) * time.Second
}

// stopAll stops the pod's containers, the sidecars last, and then its sandboxes.
func (k *Kubelet) stopAll(ctx context.Context, pod *corev1.Pod, o *observed.Pod, grace time.Duration) error {
	var running []observed.Container
	gone := map[string]chan struct{}{}
	for _, c := range o.Containers {
		if c.State == observed.Running || c.State == observed.Unknown {
			running = append(running, c)
			gone[c.ID] = make(chan struct{})
		}
	}
	errs := make(chan error, len(running))
	order := stopOrder(pod, running)
	for _, c := range running {
		k.event(pod, &corev1.Container{Name: c.Name}, corev1.EventTypeNormal, "Killing", "Stopping container "+c.Name)
	}
	for _, c := range running {
		go func() {
			defer close(gone[c.ID])
			turn := func(ctx context.Context) {
				for _, id := range order[c.ID] {
					select {
					case <-gone[id]:
					case <-ctx.Done():
					}
				}
			}
			errs <- k.stopContainer(ctx, pod, specOf(pod, c.Name), c, grace, turn)
		}()
	}
	var err error
	for range running {
		err = errors.Join(err, <-errs)
	}
	if err := errors.Join(err, ctx.Err()); err != nil {
		return err // above all no sandbox is stopped, which would end the grace period
	}
	for _, s := range o.Sandboxes {
		if _, err := k.Runtime.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: s.ID}); err != nil {
			return fmt.Errorf("stop sandbox %s: %w", s.ID, err)
		}
	}
	return nil
}

// kill stops one container of a pod that goes on.
func (k *Kubelet) kill(ctx context.Context, pod *corev1.Pod, a kill) error {
	grace := gracePeriod(pod)
	if a.Probe != "" {
		grace = time.Duration(probe.GracePeriod(pod, a.Spec, a.Probe)) * time.Second
	}
	k.event(pod, a.Spec, corev1.EventTypeNormal, "Killing", a.Message)
	return k.stopContainer(ctx, pod, a.Spec, a.Container, grace, func(context.Context) {})
}

// stopContainer runs the preStop hook, waits for the container's turn, and has
// the runtime end its processes: all of that within the grace period, except
// that the end gets two seconds at least.
func (k *Kubelet) stopContainer(ctx context.Context, pod *corev1.Pod, spec *corev1.Container, c observed.Container,
	grace time.Duration, turn func(context.Context)) error {
	began := time.Now()
	if grace > 0 {
		limited, cancel := context.WithTimeout(ctx, grace)
		defer cancel()
		k.preStop(limited, pod, spec, c)
		turn(limited)
	}
	grace = max(minimumGrace, grace-time.Since(began))
	seconds := int64((grace + time.Second - 1) / time.Second)
	if _, err := k.Runtime.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: c.ID, Timeout: seconds}); err != nil {
		return fmt.Errorf("stop container %s: %w", c.Name, err)
	}
	return nil
}

// preStop runs the container's hook, if it has one. That it fails does not keep
// the container from being stopped.
func (k *Kubelet) preStop(ctx context.Context, pod *corev1.Pod, spec *corev1.Container, c observed.Container) {
	if spec == nil || spec.Lifecycle == nil || spec.Lifecycle.PreStop == nil {
		return
	}
	status, _ := k.PodStatus(pod.UID)
	if err := k.Hooks.Run(ctx, pod, spec, c.ID, status.PodIP, spec.Lifecycle.PreStop); err != nil {
		k.event(pod, spec, corev1.EventTypeWarning, "FailedPreStopHook", "PreStopHook failed")
		k.Log.Warn("preStop hook", "pod", nameOf(pod), "container", c.Name, "err", err)
	}
}

// specOf returns the container's spec, or nil.
func specOf(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if pod.Spec.EphemeralContainers[i].Name == name {
			return criconfig.Ephemeral(&pod.Spec.EphemeralContainers[i])
		}
	}
	return nil
}
