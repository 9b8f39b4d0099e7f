// Package downwardapi is the volume that tells a pod about itself.
//
// What an environment variable tells once, a file can tell anew: labels and
// annotations that change reach the running container at the next sync.
//
// Upstream: pkg/volume/downwardapi.
package downwardapi

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig/fieldref"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/generated"
)

// A Plugin writes pods' fields to files.
type Plugin struct {
	// Allocatable is what resourceFieldRef reports for a container without limit.
	Allocatable corev1.ResourceList
}

var (
	_ volume.Plugin   = Plugin{}
	_ volume.ReadOnly = Plugin{}
)

// Name implements volume.Plugin.
func (Plugin) Name() string { return "kubernetes.io~downward-api" }

// Supports implements volume.Plugin.
func (Plugin) Supports(v *corev1.Volume) bool { return v.DownwardAPI != nil }

// ReadOnly implements volume.ReadOnly.
func (Plugin) ReadOnly() bool { return true }

// SetUp implements volume.Plugin.
func (p Plugin) SetUp(_ context.Context, pod *corev1.Pod, v *corev1.Volume, dir string) (string, error) {
	defaults := generated.Defaults{Mode: corev1.DownwardAPIVolumeSourceDefaultMode, User: v.DownwardAPI.DefaultUser}
	if m := v.DownwardAPI.DefaultMode; m != nil {
		defaults.Mode = *m
	}
	files, err := Files(pod, v.DownwardAPI.Items, defaults, p.Allocatable)
	if err != nil {
		return "", err
	}
	return dir, generated.SetUp(dir, files, volume.FSGroup(pod))
}

// TearDown implements volume.Plugin.
func (Plugin) TearDown(_ context.Context, dir string) error { return volume.Remove(dir) }

// Files returns what the items ask for, by path.
func Files(pod *corev1.Pod, items []corev1.DownwardAPIVolumeFile, defaults generated.Defaults, allocatable corev1.ResourceList) (map[string]generated.File, error) {
	files := make(map[string]generated.File, len(items))
	for i := range items {
		item := &items[i]
		value, err := read(pod, item, allocatable)
		if err != nil {
			return nil, fmt.Errorf("downwardAPI file %q: %w", item.Path, err)
		}
		if _, twice := files[item.Path]; twice {
			return nil, fmt.Errorf("downwardAPI file %q: two items have the same path", item.Path)
		}
		files[item.Path] = defaults.File([]byte(value), item.Mode, item.User)
	}
	return files, nil
}

func read(pod *corev1.Pod, item *corev1.DownwardAPIVolumeFile, allocatable corev1.ResourceList) (string, error) {
	switch {
	case item.FieldRef != nil:
		return fieldref.File(pod, item.FieldRef.FieldPath)
	case item.ResourceFieldRef != nil:
		return fieldref.Resource(pod, nil, item.ResourceFieldRef, allocatable)
	}
	return "", fmt.Errorf("one of fieldRef and resourceFieldRef is required")
}
