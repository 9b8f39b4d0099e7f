package validation

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/manifest"
)

// ephemeral checks containers that were added to a pod to look at it. They are
// checked as other containers are, and there is much that they can't have.
func (f *findings) ephemeral(s *corev1.PodSpec, p *field.Path) {
	others, names := sets.New[string](), sets.New[string]()
	for _, c := range containersOf(s, p) {
		others.Insert(c.container.Name)
		names.Insert(c.container.Name)
	}
	for i := range s.EphemeralContainers {
		c, at := &s.EphemeralContainers[i], p.Index(i)
		f.asContainer(s, corev1.Container(c.EphemeralContainerCommon), at)
		f.fileKeys(c.Env, s.Volumes, at.Child("env"))
		if names.Has(c.Name) {
			f.duplicate(at.Child("name"), c.Name)
		}
		names.Insert(c.Name)
		if c.TargetContainerName != "" && !others.Has(c.TargetContainerName) {
			f.list = append(f.list, field.NotFound(at.Child("targetContainerName"), c.TargetContainerName))
		}
		f.refusedToEphemeral(&c.EphemeralContainerCommon, at)
	}
}

// asContainer asks the kubelet's package what it thinks of the container in a pod
// with no other.
func (f *findings) asContainer(s *corev1.PodSpec, c corev1.Container, p *field.Path) {
	alone := *s
	c.Lifecycle, c.LivenessProbe, c.ReadinessProbe, c.StartupProbe, c.Ports = nil, nil, nil, nil, nil
	alone.Containers, alone.InitContainers, alone.EphemeralContainers = []corev1.Container{c}, nil, nil
	const first = "spec.containers[0]"
	for _, e := range manifest.Validate(&corev1.Pod{Spec: alone}) {
		if rest, ok := strings.CutPrefix(e.Field, first); ok {
			e.Field = p.String() + rest
			f.list = append(f.list, e)
		}
	}
}

func (f *findings) refusedToEphemeral(c *corev1.EphemeralContainerCommon, p *field.Path) {
	const why = "cannot be set for an Ephemeral Container"
	for _, set := range []struct {
		field string
		is    bool
	}{
		{"ports", len(c.Ports) > 0},
		{"resources", !equality.Semantic.DeepEqual(c.Resources, corev1.ResourceRequirements{})},
		{"resizePolicy", len(c.ResizePolicy) > 0},
		{"restartPolicy", c.RestartPolicy != nil},
		{"restartPolicyRules", len(c.RestartPolicyRules) > 0},
		{"livenessProbe", c.LivenessProbe != nil},
		{"readinessProbe", c.ReadinessProbe != nil},
		{"startupProbe", c.StartupProbe != nil},
		{"lifecycle", c.Lifecycle != nil},
	} {
		if set.is {
			f.forbidden(p.Child(set.field), why)
		}
	}
	for i, m := range c.VolumeMounts {
		if m.SubPath != "" {
			f.forbidden(p.Child("volumeMounts").Index(i).Child("subPath"), why)
		}
		if m.SubPathExpr != "" {
			f.forbidden(p.Child("volumeMounts").Index(i).Child("subPathExpr"), why)
		}
	}
}

// EphemeralContainersUpdate lets containers be added, and nothing else.
func EphemeralContainersUpdate(p, old *corev1.Pod) field.ErrorList {
	if _, mirror := old.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "static pods do not support ephemeral containers")}
	}
	f := &findings{}
	f.metaUpdate(&p.ObjectMeta, &old.ObjectMeta)
	f.pod(p)
	f.keptAnnotations(p, old)
	at := spec.Child("ephemeralContainers")
	for _, c := range old.Spec.EphemeralContainers {
		i := slices.IndexFunc(p.Spec.EphemeralContainers, func(n corev1.EphemeralContainer) bool { return n.Name == c.Name })
		if i < 0 {
			f.forbidden(at, fmt.Sprintf("existing ephemeral containers %q may not be removed\n", c.Name))
		} else if now := p.Spec.EphemeralContainers[i]; !equality.Semantic.DeepEqual(c, now) {
			f.forbidden(at, fmt.Sprintf("existing ephemeral containers %q may not be changed\n%v", c.Name, diff.Diff(c, now)))
		}
	}
	return f.list
}
