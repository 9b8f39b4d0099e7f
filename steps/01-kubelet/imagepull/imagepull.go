// Package imagepull gets the images of containers onto the node, as their pull
// policies say, and not too often when that fails.
//
// Upstream: pkg/kubelet/images/image_manager.go.
package imagepull

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/distribution/reference"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/backoff"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/event"
)

// Images is the part of the CRI's image service that is used here.
type Images interface {
	ImageStatus(context.Context, *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error)
	PullImage(context.Context, *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error)
}

// A Puller pulls images. Its exported fields are set before use.
type Puller struct {
	Images Images
	Events event.Recorder

	// Parallel bounds how many pulls run at once; 0 means 1, one after another.
	Parallel int

	// Auth returns the credentials to try for an image, in order; nil tries
	// none.
	Auth func(pod *corev1.Pod, image string) []*runtimeapi.AuthConfig

	once   sync.Once
	places chan struct{}
	mu     sync.Mutex // guards failed
	failed map[key]*failure
}

type key struct {
	pod   types.UID
	image string
}

// A failure is the last one to pull an image for a pod.
type failure struct {
	backoff.Backoff
	at      time.Time
	message string
}

// Ensure makes the container's image be on the node, or says why it is not.
func (p *Puller) Ensure(ctx context.Context, pod *corev1.Pod, c *corev1.Container, sandbox *runtimeapi.PodSandboxConfig) (*runtimeapi.Image, *corev1.ContainerStateWaiting) {
	say := func(kind, reason, format string, args ...any) string {
		message := fmt.Sprintf(format, args...)
		p.Events.Record(event.Event{Time: time.Now(), Pod: pod, Namespace: pod.Namespace, Name: pod.Name, Container: c.Name,
			Type: kind, Reason: reason, Message: message})
		return message
	}
	waiting := func(reason, message string) (*runtimeapi.Image, *corev1.ContainerStateWaiting) {
		return nil, &corev1.ContainerStateWaiting{Reason: reason, Message: message}
	}
	full, err := withTag(c.Image)
	if err != nil {
		return waiting("InvalidImageName", say(corev1.EventTypeWarning, "InspectFailed",
			"Failed to apply default image tag %q: %v", c.Image, err))
	}
	spec := &runtimeapi.ImageSpec{Image: full, UserSpecifiedImage: c.Image, Annotations: pod.Annotations}
	image, err := p.status(ctx, spec)
	if err != nil {
		return waiting("ImageInspectError", say(corev1.EventTypeWarning, "InspectFailed",
			"Failed to inspect image %q: %v", full, err))
	}
	switch {
	case c.ImagePullPolicy == corev1.PullNever && image == nil:
		return waiting("ErrImageNeverPull", say(corev1.EventTypeWarning, "ErrImageNeverPull",
			"Container image %q is not present with pull policy of Never", c.Image))
	case c.ImagePullPolicy != corev1.PullAlways && image != nil:
		say(corev1.EventTypeNormal, "Pulled", "Container image %q already present on machine and can be accessed by the pod", c.Image)
		return image, nil
	}

	k := key{pod.UID, full}
	if message, late := p.tooEarly(k); late {
		say(corev1.EventTypeNormal, "BackOff", "Back-off pulling image %q", c.Image)
		return waiting("ImagePullBackOff", fmt.Sprintf("Back-off pulling image %q: ErrImagePull: %s", c.Image, message))
	}
	say(corev1.EventTypeNormal, "Pulling", "Pulling image %q", c.Image)
	began := time.Now()
	image, took, err := p.pull(ctx, pod, spec, sandbox)
	if ctx.Err() != nil {
		return waiting("ErrImagePull", ctx.Err().Error()) // who does not want it any more is told of no failure
	}
	if err != nil {
		message := status.Convert(err).Message()
		say(corev1.EventTypeWarning, "Failed", "Failed to pull image %q: %v", c.Image, message)
		p.remember(k, message)
		return waiting("ErrImagePull", message)
	}
	p.forget(k)
	say(corev1.EventTypeNormal, "Pulled", "Successfully pulled image %q in %v (%v including waiting). Image size: %v bytes.",
		c.Image, took.Truncate(time.Millisecond), time.Since(began).Truncate(time.Millisecond), image.GetSize())
	return image, nil
}

// withTag completes a name without tag or digest by :latest.
func withTag(image string) (string, error) {
	ref, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", fmt.Errorf("couldn't parse image name %q: %w", image, err)
	}
	if reference.IsNameOnly(ref) {
		return image + ":latest", nil
	}
	return image, nil
}

// status returns the image, or nil if the node does not have it.
func (p *Puller) status(ctx context.Context, spec *runtimeapi.ImageSpec) (*runtimeapi.Image, error) {
	resp, err := p.Images.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: spec})
	return resp.GetImage(), err
}

// pull waits for its place and pulls, with each of the credentials until one
// works. Took does not count the wait.
func (p *Puller) pull(ctx context.Context, pod *corev1.Pod, spec *runtimeapi.ImageSpec, sandbox *runtimeapi.PodSandboxConfig) (image *runtimeapi.Image, took time.Duration, err error) {
	p.once.Do(func() { p.places = make(chan struct{}, max(1, p.Parallel)) })
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	began := time.Now()
	auths := []*runtimeapi.AuthConfig{nil}
	if p.Auth != nil {
		if found := p.Auth(pod, spec.Image); len(found) > 0 {
			auths = found
		}
	}
	for _, auth := range auths {
		if _, err = p.Images.PullImage(ctx, &runtimeapi.PullImageRequest{Image: spec, Auth: auth, SandboxConfig: sandbox}); err == nil {
			break
		}
	}
	if err != nil {
		return nil, 0, err
	}
	image, err = p.status(ctx, spec)
	if err == nil && image == nil {
		err = fmt.Errorf("image %q was pulled and is gone again", spec.Image)
	}
	return image, time.Since(began), err
}

// tooEarly returns the message of the last failure if a new try has to wait.
func (p *Puller) tooEarly(k key) (message string, yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.failed[k]
	if f == nil || f.Remaining(backoff.Default, f.at, time.Now()) == 0 {
		return "", false
	}
	return f.message, true
}

func (p *Puller) remember(k key, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == nil {
		p.failed = map[key]*failure{}
	}
	for old, f := range p.failed { // pods that have gone long ago
		if time.Since(f.at) > 2*backoff.Default.Max {
			delete(p.failed, old)
		}
	}
	if p.failed[k] == nil {
		p.failed[k] = &failure{}
	}
	f := p.failed[k]
	f.at, f.message = time.Now(), message
	f.Next(backoff.Default, f.at, f.at)
}

func (p *Puller) forget(k key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.failed, k)
}
