// Package apivolume are the volumes whose content comes from the API server:
// configMap, secret, and what a projected volume puts together from those and a
// service account token.
//
// The kubelet writes them as it writes the downward API's, atomically, and again
// whenever the object changes (package generated of step 01 does both); so all that
// is here is which files an object makes.
//
// Upstream: pkg/volume/configmap, secret and projected.
package apivolume

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/generated"
)

// A selection says which keys of an object become files. Upstream's messages name
// kind in them.
type selection struct {
	kind     string // "configmap" or "secret"
	name     string
	items    []corev1.KeyToPath // none: all keys
	optional bool
}

// files returns the files of an object with this data; exists is false when there
// is no such object.
func (s selection) files(data map[string][]byte, exists bool, defaults generated.Defaults) (map[string]generated.File, error) {
	if !exists && !s.optional {
		return nil, fmt.Errorf("%s %q not found", s.kind, s.name)
	}
	files := map[string]generated.File{}
	if len(s.items) == 0 {
		for name, content := range data {
			files[name] = defaults.File(content, nil, nil)
		}
		return files, nil
	}
	// In upstream's words.
	lacks := map[string]string{"configmap": "configmap references non-existent config key: ", "secret": "references non-existent secret key: "}[s.kind]
	for _, item := range s.items {
		content, ok := data[item.Key]
		switch {
		case ok:
			files[item.Path] = defaults.File(content, item.Mode, item.User)
		case !s.optional:
			return nil, errors.New(lacks + item.Key)
		}
	}
	return files, nil
}

// configMapFiles asks for the configMap that a selection names.
func configMapFiles(objects criconfig.Objects, namespace string, s selection, defaults generated.Defaults) (map[string]generated.File, error) {
	object, err := objects.ConfigMap(namespace, s.name)
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{}
	if object != nil {
		for name, text := range object.Data {
			data[name] = []byte(text)
		}
		for name, content := range object.BinaryData {
			data[name] = content
		}
	}
	return s.files(data, object != nil, defaults)
}

// secretFiles asks for the secret that a selection names.
func secretFiles(objects criconfig.Objects, namespace string, s selection, defaults generated.Defaults) (map[string]generated.File, error) {
	object, err := objects.Secret(namespace, s.name)
	if err != nil {
		return nil, err
	}
	if object == nil {
		return s.files(nil, false, defaults)
	}
	return s.files(object.Data, true, defaults)
}

// A ConfigMap is the plugin of configMap volumes.
type ConfigMap struct{ Objects criconfig.Objects }

// A Secret is the plugin of secret volumes.
type Secret struct{ Objects criconfig.Objects }

var (
	_ volume.Plugin   = ConfigMap{}
	_ volume.ReadOnly = ConfigMap{}
	_ volume.Plugin   = Secret{}
	_ volume.ReadOnly = Secret{}
)

// Name implements [volume.Plugin].
func (ConfigMap) Name() string { return "kubernetes.io~configmap" }

// Supports implements [volume.Plugin].
func (ConfigMap) Supports(v *corev1.Volume) bool { return v.ConfigMap != nil }

// ReadOnly implements [volume.ReadOnly].
func (ConfigMap) ReadOnly() bool { return true }

// SetUp implements [volume.Plugin].
func (p ConfigMap) SetUp(_ context.Context, pod *corev1.Pod, v *corev1.Volume, dir string) (string, error) {
	src := v.ConfigMap
	defaults := generated.Defaults{Mode: orMode(src.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode), User: src.DefaultUser}
	files, err := configMapFiles(p.Objects, pod.Namespace, selection{"configmap", src.Name, src.Items, isTrue(src.Optional)}, defaults)
	if err != nil {
		return "", err
	}
	return dir, generated.SetUp(dir, files, volume.FSGroup(pod))
}

// TearDown implements [volume.Plugin].
func (ConfigMap) TearDown(_ context.Context, dir string) error { return volume.Remove(dir) }

// Name implements [volume.Plugin].
func (Secret) Name() string { return "kubernetes.io~secret" }

// Supports implements [volume.Plugin].
func (Secret) Supports(v *corev1.Volume) bool { return v.Secret != nil }

// ReadOnly implements [volume.ReadOnly].
func (Secret) ReadOnly() bool { return true }

// SetUp implements [volume.Plugin].
func (p Secret) SetUp(_ context.Context, pod *corev1.Pod, v *corev1.Volume, dir string) (string, error) {
	src := v.Secret
	defaults := generated.Defaults{Mode: orMode(src.DefaultMode, corev1.SecretVolumeSourceDefaultMode), User: src.DefaultUser}
	files, err := secretFiles(p.Objects, pod.Namespace, selection{"secret", src.SecretName, src.Items, isTrue(src.Optional)}, defaults)
	if err != nil {
		return "", err
	}
	return dir, generated.SetUp(dir, files, volume.FSGroup(pod))
}

// TearDown implements [volume.Plugin].
func (Secret) TearDown(_ context.Context, dir string) error { return volume.Remove(dir) }

func orMode(mode *int32, otherwise int32) int32 {
	if mode != nil {
		return *mode
	}
	return otherwise
}

func isTrue(b *bool) bool { return b != nil && *b }
