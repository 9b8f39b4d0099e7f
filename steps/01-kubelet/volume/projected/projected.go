// Package projected is the volume that puts several sources into one directory.
//
// It knows no source itself: [DownwardAPI] is one, and a later step adds those
// that need an API server (configMap, secret, serviceAccountToken).
//
// Upstream: pkg/volume/projected.
package projected

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/downwardapi"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/generated"
)

// A Source provides the files of one kind of projection.
type Source interface {
	// Supports says whether the projection is of this kind.
	Supports(p *corev1.VolumeProjection) bool

	// Files returns the projection's files by relative path. Those without a
	// mode or user of their own get the defaults. Something optional that does not
	// exist has no files.
	Files(ctx context.Context, pod *corev1.Pod, p *corev1.VolumeProjection, defaults generated.Defaults) (map[string]generated.File, error)
}

// A Plugin writes the files of its sources.
type Plugin struct {
	Sources []Source // the first one that supports a projection has it
}

var (
	_ volume.Plugin   = Plugin{}
	_ volume.ReadOnly = Plugin{}
)

// Name implements volume.Plugin.
func (Plugin) Name() string { return "kubernetes.io~projected" }

// Supports implements volume.Plugin.
func (Plugin) Supports(v *corev1.Volume) bool { return v.Projected != nil }

// ReadOnly implements volume.ReadOnly.
func (Plugin) ReadOnly() bool { return true }

// TearDown implements volume.Plugin.
func (Plugin) TearDown(_ context.Context, dir string) error { return volume.Remove(dir) }

// SetUp implements volume.Plugin.
func (p Plugin) SetUp(ctx context.Context, pod *corev1.Pod, v *corev1.Volume, dir string) (string, error) {
	defaults := generated.Defaults{Mode: corev1.ProjectedVolumeSourceDefaultMode, User: v.Projected.DefaultUser}
	if m := v.Projected.DefaultMode; m != nil {
		defaults.Mode = *m
	}
	all := map[string]generated.File{}
	for i := range v.Projected.Sources {
		files, err := p.files(ctx, pod, &v.Projected.Sources[i], defaults)
		if err != nil {
			return "", fmt.Errorf("projected source %d: %w", i, err)
		}
		maps.Copy(all, files) // of two files with one name the later source's counts
	}
	return dir, generated.SetUp(dir, all, volume.FSGroup(pod))
}

func (p Plugin) files(ctx context.Context, pod *corev1.Pod, s *corev1.VolumeProjection, defaults generated.Defaults) (map[string]generated.File, error) {
	for _, source := range p.Sources {
		if source.Supports(s) {
			return source.Files(ctx, pod, s, defaults)
		}
	}
	kind, optional := describe(s)
	if optional {
		return nil, nil
	}
	return nil, fmt.Errorf("%s is not supported by this kubelet", kind)
}

// describe names a projection, and says whether the pod can do without it.
func describe(s *corev1.VolumeProjection) (kind string, optional bool) {
	is := func(b *bool) bool { return b != nil && *b }
	switch {
	case s.ConfigMap != nil:
		return "configMap " + s.ConfigMap.Name, is(s.ConfigMap.Optional)
	case s.Secret != nil:
		return "secret " + s.Secret.Name, is(s.Secret.Optional)
	case s.ServiceAccountToken != nil:
		return "serviceAccountToken", false
	case s.ClusterTrustBundle != nil:
		return "clusterTrustBundle", is(s.ClusterTrustBundle.Optional)
	case s.PodCertificate != nil:
		return "podCertificate", false
	}
	return "an empty source", false
}

// DownwardAPI is the source of a pod's own fields.
type DownwardAPI struct {
	// Allocatable is what resourceFieldRef reports for a container without limit.
	Allocatable corev1.ResourceList
}

var _ Source = DownwardAPI{}

// Supports implements Source.
func (DownwardAPI) Supports(p *corev1.VolumeProjection) bool { return p.DownwardAPI != nil }

// Files implements Source.
func (d DownwardAPI) Files(_ context.Context, pod *corev1.Pod, p *corev1.VolumeProjection, defaults generated.Defaults) (map[string]generated.File, error) {
	return downwardapi.Files(pod, p.DownwardAPI.Items, defaults, d.Allocatable)
}
