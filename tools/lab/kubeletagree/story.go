package kubeletagree

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
)

// A story makes up a pod and what happens to it. It knows nothing of what became of it.
type story struct {
	rand *rand.Rand
	name string
	pod  *corev1.Pod
	over bool // nothing can happen any more

	refused bool // the API server won't have such a pod
}

// A step is one thing that happens.
type step struct {
	text string
	do   func(ctx context.Context, s *side) error
}

func newStory(r *rand.Rand, name string) *story {
	s := &story{rand: r, name: name}
	s.pod = s.makePod()
	return s
}

func (s *story) one(of ...string) string { return of[s.rand.IntN(len(of))] }
func (s *story) oneIn(n int) bool        { return s.rand.IntN(n) == 0 }

// next is the pod itself at first, and then what is done to it.
func (s *story) next(n int) step {
	if n == 0 {
		return s.create()
	}
	switch s.rand.IntN(8) {
	case 0:
		return s.patch("", map[string]any{"metadata": map[string]any{"labels": map[string]any{"mood": s.one("fine", "bad")}, "annotations": map[string]any{"note": s.one("a", "b")}}})
	case 1:
		return s.setImage()
	case 2:
		return s.resize()
	case 3:
		return s.debug()
	case 4:
		if s.pod.Spec.NodeSelector != nil {
			break // of a pod that was refused, upstream also says that its time is over
		}
		return s.patch("", map[string]any{"spec": map[string]any{"activeDeadlineSeconds": 1 + s.rand.IntN(4)}})
	case 5, 6:
		return s.run()
	}
	s.over = true
	return s.remove()
}

func (s *story) create() step {
	return step{text: "create " + told(s.pod), do: func(ctx context.Context, side *side) error {
		p := s.pod.DeepCopy()
		p.Spec.NodeName = side.node
		_, err := side.api.CoreV1().Pods(side.namespace).Create(ctx, p, metav1.CreateOptions{})
		if apierrors.IsInvalid(err) {
			s.refused = true
			return nil
		}
		return err
	}}
}

// exceptRefused: what the API server does not allow happens to neither pod.
func exceptRefused(err error) error {
	if apierrors.IsInvalid(err) || apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) {
		return nil
	}
	return err
}

func (s *story) patch(sub string, patch any) step {
	b, err := json.Marshal(patch)
	return step{text: strings.TrimSpace("patch "+sub) + " " + string(b), do: func(ctx context.Context, side *side) error {
		if err != nil {
			return err
		}
		var subs []string
		if sub != "" {
			subs = []string{sub}
		}
		_, err := side.api.CoreV1().Pods(side.namespace).Patch(ctx, s.name, types.StrategicMergePatchType, b, metav1.PatchOptions{}, subs...)
		return exceptRefused(err)
	}}
}

func (s *story) someContainer() string {
	return s.pod.Spec.Containers[s.rand.IntN(len(s.pod.Spec.Containers))].Name
}

func (s *story) setImage() step {
	name := s.someContainer()
	image := s.one(web, toolbox, missing(name))
	if c := s.pod.Spec.Containers[slices.IndexFunc(s.pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == name })]; c.ImagePullPolicy == corev1.PullAlways {
		image = missing(name) // upstream does not trust an image any more that it once tried to pull
	}
	return s.patch("", map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": name, "image": image}}}})
}

func (s *story) resize() step {
	res := corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(s.one("10m", "20m")), corev1.ResourceMemory: resource.MustParse(s.one("20Mi", "30Mi"))},
	}
	// A container that wants to be started again for its memory is by upstream for a request
	// alone, of which the kernel is not told.
	wants := s.oneIn(2)
	for _, c := range s.pod.Spec.Containers {
		wants = wants || c.ResizePolicy != nil
	}
	if wants {
		res.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(s.one("100m", "200m", "64")), corev1.ResourceMemory: resource.MustParse(s.one("45Mi", "50Mi"))}
	}
	if s.oneIn(6) && !wants {
		res.Requests[corev1.ResourceCPU], res.Limits = resource.MustParse("64"), nil // more than a node has
	}
	return s.patch("resize", map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": s.someContainer(), "resources": res}}}})
}

// debug adds an ephemeral container.
func (s *story) debug() step {
	c := map[string]any{"name": "debug", "image": s.one(toolbox, toolbox, missing("debug")), "command": []string{"sh", "-c", s.one(obeys, ends, fails)}}
	if s.oneIn(2) {
		c["targetContainerName"] = s.someContainer()
	}
	return s.patch("ephemeralcontainers", map[string]any{"spec": map[string]any{"ephemeralContainers": []any{c}}})
}

// run runs a command in a container, if that runs.
func (s *story) run() step {
	container := s.someContainer()
	command := s.one("kill -TERM 1", "kill -INT 1", "touch /tmp/well", "rm -f /tmp/well", "cat /etc/hosts /etc/hostname", "env", "ls /data", "echo more > /data/more", "id")
	return step{text: "in " + container + " " + command, do: func(ctx context.Context, side *side) error {
		request := side.api.CoreV1().RESTClient().Post().Resource("pods").Namespace(side.namespace).Name(s.name).SubResource("exec").
			VersionedParams(&corev1.PodExecOptions{Container: container, Command: []string{"sh", "-c", command}, Stdout: true, Stderr: true}, scheme.ParameterCodec)
		e, err := remotecommand.NewWebSocketExecutor(side.config, "GET", request.URL().String())
		if err != nil {
			return err
		}
		var out, errs bytes.Buffer
		err = e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: &errs})
		out.Write(errs.Bytes())
		switch code := (exec.CodeExitError{}); {
		case errors.As(err, &code):
			fmt.Fprintf(&out, "exit code %d", code.Code)
		case err != nil:
			fmt.Fprint(&out, "no command could be run") // the API server tells each in its own way
		}
		side.answered(s.name, command, out.String())
		return nil
	}}
}

func (s *story) remove() step {
	var o metav1.DeleteOptions
	text := "delete"
	switch s.rand.IntN(4) {
	case 0:
		o.GracePeriodSeconds, text = new(int64(0)), "delete at once"
	case 1:
		o.GracePeriodSeconds, text = new(int64(1)), "delete within a second"
	}
	return step{text: text, do: func(ctx context.Context, side *side) error {
		return exceptNotFound(side.api.CoreV1().Pods(side.namespace).Delete(ctx, s.name, o))
	}}
}
