package kubelet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/backoff"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/observed"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podfiles"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
)

// A start is one go at bringing containers up, with what they share.
type start struct {
	*Kubelet
	w       *worker
	pod     *corev1.Pod
	before  *observed.Pod // what there was when the actions were decided
	id      string        // of the sandbox
	sandbox *runtimeapi.PodSandboxConfig
	ips     []string
	volumes map[string]volume.Mounted
}

// act carries the actions out. Each of them may have been carried out already
// by a kubelet that was killed: what it made is found by the next observation.
func (k *Kubelet) act(ctx context.Context, w *worker, pod *corev1.Pod, o *observed.Pod, a actions) (again time.Duration, err error) {
	parent, err := k.resize(ctx, w, pod, a)
	if err != nil {
		return 0, err
	}
	// What runs is looked after even when a volume is not as it was any more, such
	// as a path of the node that has gone.
	k.Probes.Add(pod)
	for _, kill := range a.Kill {
		if err := k.kill(ctx, pod, kill); err != nil {
			return 0, err
		}
	}
	volumes, err := k.Volumes.Mount(ctx, pod)
	if ctx.Err() != nil {
		return 0, ctx.Err() // the pod is to end, or the kubelet: that is no failure
	}
	if err != nil {
		k.event(pod, nil, corev1.EventTypeWarning, "FailedMount", err.Error())
		return 0, err
	}
	again = k.Resync
	if w.resizing != nil {
		again = retry
	}
	if !a.Sandbox && len(a.Start) == 0 {
		return again, nil
	}
	s := &start{Kubelet: k, w: w, pod: pod, before: o, volumes: volumes}
	if err := s.prepare(ctx, o, a, parent); err != nil {
		return 0, err
	}
	for _, c := range a.Start {
		left, err := s.container(ctx, c)
		if err != nil {
			return 0, err
		}
		again = min(again, left)
	}
	return again, nil
}

// prepare makes the sandbox, or takes the one there is.
func (s *start) prepare(ctx context.Context, o *observed.Pod, a actions, parent string) error {
	var err error
	if s.sandbox, err = criconfig.Sandbox(s.Node, s.pod, a.Attempt, parent); err != nil {
		s.event(s.pod, nil, corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox config: "+err.Error())
		return fmt.Errorf("sandbox config: %w", err)
	}
	if !a.Sandbox {
		s.id, s.ips = o.SandboxID(), o.Sandbox().IPs
		return nil
	}
	if err := s.stopAll(ctx, s.pod, o, gracePeriod(s.pod)); err != nil {
		return err
	}
	if err := os.MkdirAll(s.Node.LogDir(s.pod), 0o755); err != nil {
		return fmt.Errorf("make the log directory: %w", err)
	}
	if message := criconfig.MissingClusterDNS(s.Node, s.pod); message != "" {
		s.event(s.pod, nil, corev1.EventTypeWarning, "MissingClusterDNS", message)
	}
	if s.id, err = s.run(ctx); ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		s.event(s.pod, nil, corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: "+status.Convert(err).Message())
		return fmt.Errorf("run the sandbox: %w", err)
	}
	// Everything in an earlier sandbox is past: so are its failures to start.
	clear(s.w.waiting)
	clear(s.w.notBefore)
	fresh, err := observed.Read(ctx, s.Runtime, s.pod.UID)
	if err != nil {
		return err
	}
	if sandbox := fresh.Sandbox(); sandbox != nil {
		s.ips = sandbox.IPs
	}
	s.report(s.w, s.pod, fresh, ending{}, nil)
	return nil
}

func (s *start) run(ctx context.Context) (id string, err error) {
	handler := ""
	if s.pod.Spec.RuntimeClassName != nil {
		handler = *s.pod.Spec.RuntimeClassName
	}
	resp, err := s.Runtime.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: s.sandbox, RuntimeHandler: handler})
	return resp.GetPodSandboxId(), err
}

// container starts one container, unless it has to wait: then its status says
// why, and again how long. An error is for what concerns the whole pod.
func (s *start) container(ctx context.Context, c *corev1.Container) (again time.Duration, err error) {
	if left := time.Until(s.w.notBefore[keyOf(c)]); left > 0 {
		return left, nil
	}
	crash := s.crash(c)
	if ended := s.lastEnd(c.Name); ended != nil {
		if left := crash.Remaining(s.Restart, ended.FinishedAt, time.Now()); left > 0 {
			s.wait(c, left, "CrashLoopBackOff", fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)",
				crash.Delay, c.Name, s.pod.Name, s.pod.Namespace, s.pod.UID))
			s.event(s.pod, c, corev1.EventTypeWarning, "BackOff",
				fmt.Sprintf("Back-off restarting failed container %s in pod %s_%s(%s)", c.Name, s.pod.Name, s.pod.Namespace, s.pod.UID))
			return left, nil
		}
		crash.Next(s.Restart, ended.FinishedAt, time.Now())
	}
	image, why := s.Images.Ensure(ctx, s.pod, c, s.sandbox)
	if why == nil {
		why = s.create(ctx, c, image)
	} else if ctx.Err() == nil {
		s.event(s.pod, c, corev1.EventTypeWarning, "Failed", "Error: "+why.Reason)
	}
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case why == nil:
		delete(s.w.waiting, c.Name)
		return s.Resync, nil
	}
	again = retry
	if why.Reason == "ErrImagePull" {
		again = time.Second // to be seen for a moment, before it is ImagePullBackOff
	}
	s.wait(c, again, why.Reason, why.Message)
	return again, nil
}

// retry is how soon a container that could not be started is tried again.
const retry = 10 * time.Second

// wait shows why the container does not start, and keeps it from being tried for
// a while, whatever wakes the worker.
func (s *start) wait(c *corev1.Container, d time.Duration, reason, message string) {
	s.w.waiting[c.Name] = corev1.ContainerStateWaiting{Reason: reason, Message: message}
	s.w.notBefore[keyOf(c)] = time.Now().Add(d)
}

// crash returns the container's back-off.
func (s *start) crash(c *corev1.Container) *backoff.Backoff {
	key := keyOf(c)
	if s.w.crashes[key] == nil {
		s.w.crashes[key] = &backoff.Backoff{}
	}
	return s.w.crashes[key]
}

// keyOf names a container, its spec and what it may have: what is held against one that failed
// is not held against a changed one, for example one that gets more memory.
func keyOf(c *corev1.Container) string {
	return c.Name + " " + criconfig.Hash(c) + " " + c.Resources.String()
}

// lastEnd returns the newest attempt at the container that ended, or nil.
func (s *start) lastEnd(name string) *observed.Container {
	for i := range s.before.Containers {
		if c := &s.before.Containers[i]; c.Name == name && c.State == observed.Exited {
			return c
		}
	}
	return nil
}

// create makes the container, starts it and runs its postStart hook. The result
// is the waiting state that shows what went wrong, or nil.
func (s *start) create(ctx context.Context, c *corev1.Container, image *runtimeapi.Image) *corev1.ContainerStateWaiting {
	failed := func(reason string, err error) *corev1.ContainerStateWaiting {
		if ctx.Err() != nil {
			return nil
		}
		message := status.Convert(err).Message() // without gRPC's code, if it is one of its errors
		s.event(s.pod, c, corev1.EventTypeWarning, "Failed", "Error: "+message)
		return &corev1.ContainerStateWaiting{Reason: reason, Message: message}
	}
	last := s.before.Container(c.Name)
	if err := s.removeUnstarted(ctx, last); err != nil {
		return failed("CreateContainerError", err)
	}
	attempt := s.attempt(c, last)
	files, err := podfiles.Make(s.Node, s.pod, c, attempt, s.ips)
	if err != nil {
		return failed("CreateContainerConfigError", err)
	}
	conf, err := s.config(c, attempt, image, files)
	if err != nil {
		return failed("CreateContainerConfigError", err)
	}
	created, err := s.Runtime.CreateContainer(ctx, &runtimeapi.CreateContainerRequest{PodSandboxId: s.id, Config: conf, SandboxConfig: s.sandbox})
	if err != nil {
		return failed("CreateContainerError", err)
	}
	s.event(s.pod, c, corev1.EventTypeNormal, "Created", "Container created")
	if _, err := s.Runtime.StartContainer(ctx, &runtimeapi.StartContainerRequest{ContainerId: created.ContainerId}); err != nil {
		return failed("RunContainerError", err)
	}
	s.event(s.pod, c, corev1.EventTypeNormal, "Started", "Container started")
	if s.Started != nil {
		s.Started(s.pod, c, created.ContainerId, files.Log)
	}
	return s.postStart(ctx, c, created.ContainerId)
}

// removeUnstarted removes an attempt that was made and never started, by a
// kubelet that was killed in between or because starting failed.
func (s *start) removeUnstarted(ctx context.Context, last *observed.Container) error {
	if last == nil || last.State != observed.Created {
		return nil
	}
	_, err := s.Runtime.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: last.ID})
	return err
}

// attempt counts the restarts of a container.
func (s *start) attempt(c *corev1.Container, last *observed.Container) uint32 {
	switch {
	case last == nil:
		return podfiles.NextAttempt(s.Node, s.pod, c.Name)
	case last.State == observed.Created:
		return last.Attempt
	}
	return last.Attempt + 1
}

// config makes the container's config from all that it depends on.
func (s *start) config(c *corev1.Container, attempt uint32, image *runtimeapi.Image, files podfiles.Files) (*runtimeapi.ContainerConfig, error) {
	in := criconfig.Input{
		Node: s.Node, Pod: s.pod, Container: c, Attempt: attempt, Image: image, PodIPs: s.ips,
		Volumes: s.volumes, SubPath: s.Volumes.SubPaths(s.pod, c.Name, s.volumes), Objects: s.Objects,
		HostsFile: files.Hosts, TerminationLog: files.TerminationLog,
	}
	if s.BaseEnv != nil {
		var err error
		if in.BaseEnv, err = s.BaseEnv(s.pod); err != nil {
			return nil, err
		}
	}
	for _, e := range s.pod.Spec.EphemeralContainers {
		if e.Name != c.Name || e.TargetContainerName == "" {
			continue
		}
		target := s.before.Container(e.TargetContainerName)
		if target == nil {
			return nil, fmt.Errorf("unable to find target container %s", e.TargetContainerName)
		}
		in.TargetID = target.ID
	}
	return criconfig.Container(in)
}

// postStart runs the hook of a container that was just started. When it fails
// the container is killed, and its restart policy decides.
func (s *start) postStart(ctx context.Context, c *corev1.Container, id string) *corev1.ContainerStateWaiting {
	if c.Lifecycle == nil || c.Lifecycle.PostStart == nil {
		return nil
	}
	err := s.Hooks.Run(ctx, s.pod, c, id, first(s.ips), c.Lifecycle.PostStart)
	if err == nil || ctx.Err() != nil {
		return nil
	}
	s.event(s.pod, c, corev1.EventTypeWarning, "FailedPostStartHook", "PostStartHook failed")
	kill := kill{Container: observed.Container{ID: id, Name: c.Name}, Spec: c, Message: "FailedPostStartHook"}
	err = errors.Join(fmt.Errorf("PostStartHookError: %w", err), s.kill(ctx, s.pod, kill))
	return &corev1.ContainerStateWaiting{Reason: "PostStartHookError", Message: err.Error()}
}

func first(ss []string) string {
	if len(ss) == 0 {
		return ""
	}
	return ss[0]
}
