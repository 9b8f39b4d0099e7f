package apivolume

import (
	"cmp"
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/generated"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/projected"
)

// Objects is the source of configMaps and secrets in projected volumes.
type Objects struct{ Objects criconfig.Objects }

// Tokens is where service account tokens come from. *podtoken.Tokens is one.
type Tokens interface {
	Get(ctx context.Context, pod *corev1.Pod, audience string, seconds *int64) (string, error)
}

// A ServiceAccountToken is the source of tokens in projected volumes.
type ServiceAccountToken struct{ Tokens Tokens }

var (
	_ projected.Source = Objects{}
	_ projected.Source = ServiceAccountToken{}
)

// Supports implements [projected.Source].
func (Objects) Supports(p *corev1.VolumeProjection) bool {
	return p.ConfigMap != nil || p.Secret != nil
}

// Files implements [projected.Source].
func (o Objects) Files(_ context.Context, pod *corev1.Pod, p *corev1.VolumeProjection, defaults generated.Defaults) (map[string]generated.File, error) {
	if c := p.ConfigMap; c != nil {
		return configMapFiles(o.Objects, pod.Namespace, selection{"configmap", c.Name, c.Items, isTrue(c.Optional)}, defaults)
	}
	s := p.Secret
	return secretFiles(o.Objects, pod.Namespace, selection{"secret", s.Name, s.Items, isTrue(s.Optional)}, defaults)
}

// Supports implements [projected.Source].
func (ServiceAccountToken) Supports(p *corev1.VolumeProjection) bool {
	return p.ServiceAccountToken != nil
}

// Files implements [projected.Source]. A token is a secret: where it is known who
// reads it, nobody else can.
func (s ServiceAccountToken) Files(ctx context.Context, pod *corev1.Pod, p *corev1.VolumeProjection, defaults generated.Defaults) (map[string]generated.File, error) {
	src := p.ServiceAccountToken
	text, err := s.Tokens.Get(ctx, pod, src.Audience, src.ExpirationSeconds)
	if err != nil {
		return nil, err
	}
	f := generated.File{Data: []byte(text), Mode: defaults.Mode, User: cmp.Or(src.User, defaults.User, onlyUser(pod))}
	if f.User != nil || volume.FSGroup(pod) != nil {
		f.Mode = 0o600 // with fsGroup, the group may read it too
	}
	return map[string]generated.File{src.Path: f}, nil
}

// onlyUser returns the user that all containers of the pod run as, or nil if they
// don't say, or differ.
func onlyUser(pod *corev1.Pod) *int64 {
	var only *int64
	for _, c := range containers(pod) {
		var user *int64
		if sc := pod.Spec.SecurityContext; sc != nil {
			user = sc.RunAsUser
		}
		if sc := c.SecurityContext; sc != nil && sc.RunAsUser != nil {
			user = sc.RunAsUser
		}
		if user == nil || only != nil && *only != *user {
			return nil
		}
		only = user
	}
	return only
}

func containers(pod *corev1.Pod) []*corev1.Container {
	var all []*corev1.Container
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		all = append(all, criconfig.Ephemeral(&pod.Spec.EphemeralContainers[i]))
	}
	return all
}
