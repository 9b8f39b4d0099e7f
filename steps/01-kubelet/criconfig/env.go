package criconfig

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig/expand"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig/fieldref"
)

// Objects gives access to the objects that a container's environment refers
// to. A later step implements it by asking the API server.
type Objects interface {
	// ConfigMap returns nil and no error when there is no such object.
	ConfigMap(namespace, name string) (*corev1.ConfigMap, error)
	// Secret returns nil and no error when there is no such object.
	Secret(namespace, name string) (*corev1.Secret, error)
}

// variables are a container's environment, in the order in which its names
// were first set. A later value replaces an earlier one.
type variables struct {
	names  []string
	values map[string]string
}

func (v *variables) set(name, value string) {
	if _, ok := v.values[name]; !ok {
		v.names = append(v.names, name)
	}
	v.values[name] = value
}

func (v *variables) lookup(name string) (string, bool) {
	value, ok := v.values[name]
	return value, ok
}

func (v *variables) list() []*runtimeapi.KeyValue {
	out := make([]*runtimeapi.KeyValue, 0, len(v.names))
	for _, name := range v.names {
		out = append(out, &runtimeapi.KeyValue{Key: name, Value: []byte(v.values[name])})
	}
	return out
}

// environment resolves all variables of a container: BaseEnv, then envFrom,
// then env, each of which may refer to those before it by $(NAME).
func environment(in Input) (*variables, error) {
	v := &variables{values: map[string]string{}}
	for _, e := range in.BaseEnv {
		v.set(e.Name, e.Value)
	}
	for i := range in.Container.EnvFrom {
		if err := v.from(in, &in.Container.EnvFrom[i]); err != nil {
			return nil, err
		}
	}
	for i := range in.Container.Env {
		e := &in.Container.Env[i]
		if e.ValueFrom == nil {
			v.set(e.Name, expand.Expand(e.Value, v.lookup))
			continue
		}
		value, ok, err := valueOf(in, e)
		if err != nil {
			return nil, err
		}
		if ok {
			v.set(e.Name, value)
		}
	}
	return v, nil
}

// from adds all keys of a configMap or secret.
func (v *variables) from(in Input, src *corev1.EnvFromSource) error {
	var data map[string]string
	var err error
	switch {
	case src.ConfigMapRef != nil:
		data, err = objectData(in, "configmap", src.ConfigMapRef.Name, src.ConfigMapRef.Optional)
	case src.SecretRef != nil:
		data, err = objectData(in, "secret", src.SecretRef.Name, src.SecretRef.Optional)
	}
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		v.set(src.Prefix+key, data[key])
	}
	return nil
}

// valueOf resolves one valueFrom; ok is false for an optional reference to
// something that does not exist, which leaves the variable unset.
func valueOf(in Input, e *corev1.EnvVar) (value string, ok bool, err error) {
	failed := func(err error) error { return fmt.Errorf("container %q: env %s: %w", in.Container.Name, e.Name, err) }
	switch src := e.ValueFrom; {
	case src.FieldRef != nil:
		value, err = runtimeFields(in).Variable(in.Pod, src.FieldRef.FieldPath)
		if err != nil {
			return "", false, failed(err)
		}
		return value, true, nil
	case src.ResourceFieldRef != nil:
		value, err = fieldref.Resource(in.Pod, in.Container, src.ResourceFieldRef, in.Node.Allocatable)
		if err != nil {
			return "", false, failed(err)
		}
		return value, true, nil
	case src.ConfigMapKeyRef != nil:
		r := src.ConfigMapKeyRef
		return keyOf(in, "ConfigMap", r.Name, r.Key, r.Optional)
	case src.SecretKeyRef != nil:
		r := src.SecretKeyRef
		return keyOf(in, "Secret", r.Name, r.Key, r.Optional)
	case src.FileKeyRef != nil:
		return "", false, failed(errors.New("fileKeyRef is not supported"))
	}
	return "", false, failed(errors.New("valueFrom is empty"))
}

// keyOf words its error as upstream does, and so does objectData: people search for it.
func keyOf(in Input, kind, name, key string, optional *bool) (value string, ok bool, err error) {
	data, err := objectData(in, strings.ToLower(kind), name, optional)
	if err != nil {
		return "", false, err
	}
	value, ok = data[key]
	if !ok && !isTrue(optional) {
		return "", false, fmt.Errorf("couldn't find key %s in %s %s/%s", key, kind, in.Pod.Namespace, name)
	}
	return value, ok, nil
}

// objectData returns the keys of a configMap or secret; none when it is
// optional and does not exist.
func objectData(in Input, kind, name string, optional *bool) (map[string]string, error) {
	if in.Objects == nil {
		if isTrue(optional) {
			return nil, nil
		}
		return nil, fmt.Errorf("%s %q: this kubelet has no API server to ask for it", kind, name)
	}
	data, found, err := fetch(in.Objects, kind, in.Pod.Namespace, name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("get %s %q: %w", kind, name, err)
	case !found && !isTrue(optional):
		return nil, fmt.Errorf("%s %q not found", kind, name)
	}
	return data, nil
}

func fetch(objects Objects, kind, namespace, name string) (data map[string]string, found bool, err error) {
	if kind == "configmap" {
		m, err := objects.ConfigMap(namespace, name)
		if err != nil || m == nil {
			return nil, false, err
		}
		return m.Data, true, nil
	}
	s, err := objects.Secret(namespace, name)
	if err != nil || s == nil {
		return nil, false, err
	}
	data = make(map[string]string, len(s.Data))
	for k, v := range s.Data {
		data[k] = string(v)
	}
	return data, true, nil
}

// runtimeFields is what the pod's environment may show and only the node knows.
func runtimeFields(in Input) fieldref.Runtime {
	r := fieldref.Runtime{NodeName: in.Node.Name, PodIPs: in.PodIPs}
	for _, ip := range in.Node.IPs {
		r.HostIPs = append(r.HostIPs, ip.String())
	}
	if in.Pod.Spec.HostNetwork && len(r.PodIPs) == 0 {
		r.PodIPs = r.HostIPs
	}
	return r
}

func isTrue(b *bool) bool { return b != nil && *b }
