package apiobject

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// The kinds of objects, as messages name them.
const (
	ConfigMap = "configmap"
	Secret    = "secret"
)

// A Ref names an object that a pod refers to.
type Ref struct{ Kind, Namespace, Name string }

// String is the reference as a message shows it.
func (r Ref) String() string { return r.Kind + " " + r.Namespace + "/" + r.Name }

// Refs returns the configMaps and secrets that a pod refers to, each once: in its
// environment, in its volumes, and as credentials for its images. Upstream:
// podutil.VisitPodSecretNames and VisitPodConfigmapNames.
func Refs(pod *corev1.Pod) []Ref {
	r := refs{namespace: pod.Namespace}
	for _, s := range pod.Spec.ImagePullSecrets {
		r.add(Secret, s.Name)
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			r.environment(list[i].Env, list[i].EnvFrom)
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		c := &pod.Spec.EphemeralContainers[i]
		r.environment(c.Env, c.EnvFrom)
	}
	for i := range pod.Spec.Volumes {
		r.volume(&pod.Spec.Volumes[i])
	}
	return r.all
}

type refs struct {
	namespace string
	all       []Ref
}

func (r *refs) add(kind, name string) {
	if ref := (Ref{kind, r.namespace, name}); name != "" && !slices.Contains(r.all, ref) {
		r.all = append(r.all, ref)
	}
}

func (r *refs) environment(env []corev1.EnvVar, from []corev1.EnvFromSource) {
	for _, e := range env {
		switch v := e.ValueFrom; {
		case v == nil:
		case v.ConfigMapKeyRef != nil:
			r.add(ConfigMap, v.ConfigMapKeyRef.Name)
		case v.SecretKeyRef != nil:
			r.add(Secret, v.SecretKeyRef.Name)
		}
	}
	for _, f := range from {
		switch {
		case f.ConfigMapRef != nil:
			r.add(ConfigMap, f.ConfigMapRef.Name)
		case f.SecretRef != nil:
			r.add(Secret, f.SecretRef.Name)
		}
	}
}

func (r *refs) volume(v *corev1.Volume) {
	switch {
	case v.ConfigMap != nil:
		r.add(ConfigMap, v.ConfigMap.Name)
	case v.Secret != nil:
		r.add(Secret, v.Secret.SecretName)
	case v.Projected != nil:
		for _, s := range v.Projected.Sources {
			switch {
			case s.ConfigMap != nil:
				r.add(ConfigMap, s.ConfigMap.Name)
			case s.Secret != nil:
				r.add(Secret, s.Secret.Name)
			}
		}
	}
}
