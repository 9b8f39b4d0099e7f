// Package config reads how a scheduler is to decide, from a file of the kind
// KubeSchedulerConfiguration.
//
// The file is upstream's, version kubescheduler.config.k8s.io/v1, and so are its
// defaults and the words of what is wrong with it. A field that nobody knows is
// refused: a misspelled weight that silently counts for nothing is found by nobody.
//
// One scheduler has several profiles. Each has a name, which pods put into
// spec.schedulerName, and a list of plugins; package profile makes something of
// these that can decide.
//
// Upstream: pkg/scheduler/apis/config/{v1,validation} and cmd/kube-scheduler/app/options.
package config

import (
	"bytes"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	configv1 "k8s.io/kube-scheduler/config/v1"
)

// A Config is what a file says, or would have said where it is silent.
type Config = configv1.KubeSchedulerConfiguration

// Read reads a file.
func Read(path string) (*Config, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := Decode(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Decode reads the content of a file, YAML or JSON, fills in the defaults, and
// refuses what does not fit together.
func Decode(content []byte) (*Config, error) {
	scheme := runtime.NewScheme()
	if err := configv1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, fmt.Errorf("the file is empty: it begins with apiVersion: %s and kind: KubeSchedulerConfiguration", configv1.SchemeGroupVersion)
	}
	object, kind, err := decoder.Decode(content, nil, nil)
	if err != nil {
		return nil, err
	}
	c, ok := object.(*Config)
	if !ok {
		return nil, fmt.Errorf("couldn't decode as KubeSchedulerConfiguration, got %s", kind)
	}
	if err := c.DecodeNestedObjects(decoder); err != nil {
		return nil, err
	}
	SetDefaults(c)
	return c, Validate(c)
}

// Args returns the arguments of a plugin in a profile, or nil if it takes none.
func Args(p *configv1.KubeSchedulerProfile, plugin string) runtime.Object {
	for _, c := range p.PluginConfig {
		if c.Name == plugin {
			return c.Args.Object
		}
	}
	return nil
}
