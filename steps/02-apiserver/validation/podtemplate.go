package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/manifest"
)

// PodTemplate checks a template of pods.
func PodTemplate(t *corev1.PodTemplate) field.ErrorList {
	f := &findings{}
	f.meta(&t.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	f.add(Template(&t.Template, field.NewPath("template")))
	f.notResized(t.Template.Spec.InitContainers, field.NewPath("template", "spec", "initContainers"))
	return f.list
}

// PodTemplateUpdate checks a change of a template, in which all may change.
func PodTemplateUpdate(t, old *corev1.PodTemplate) field.ErrorList {
	f, before := &findings{}, &findings{}
	f.metaUpdate(&t.ObjectMeta, &old.ObjectMeta)
	f.add(Template(&t.Template, field.NewPath("template")))
	init := field.NewPath("template", "spec", "initContainers")
	if before.notResized(old.Template.Spec.InitContainers, init); len(before.list) == 0 {
		f.notResized(t.Template.Spec.InitContainers, init)
	}
	return f.list
}

// Template checks the template at a path within an object of any kind.
func Template(t *corev1.PodTemplateSpec, p *field.Path) field.ErrorList {
	f := &findings{}
	f.labels(p.Child("labels"), t.Labels)
	f.add(apivalidation.ValidateAnnotations(t.Annotations, p.Child("annotations")))
	f.podAnnotations(t.Annotations, &t.Spec, p.Child("annotations"))
	spec, filled := harmless(t.Spec)
	for _, e := range manifest.Validate(&corev1.Pod{Spec: spec}) {
		if strings.HasPrefix(e.Field, "spec") && !filled.Has(e.Field) {
			e.Field = p.String() + "." + e.Field
			f.list = append(f.list, e)
		}
	}
	f.podSpec(&t.Spec, p.Child("spec"))
	if len(t.Spec.EphemeralContainers) > 0 {
		f.forbidden(p.Child("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template")
	}
	return f.list
}

// harmless is the pod without what is only checked when it becomes one, with the host
// ports that it has then: filled are the paths of these, which are nobody's fault.
func harmless(s corev1.PodSpec) (harmless corev1.PodSpec, filled sets.Set[string]) {
	s, filled = *s.DeepCopy(), sets.New[string]()
	s.EphemeralContainers, s.ImagePullSecrets = nil, nil
	if s.ServiceAccountName == "" {
		s.ServiceAccountName = "default"
	}
	if g := s.TerminationGracePeriodSeconds; g != nil && *g < 0 {
		*g = 0
	}
	for _, c := range containersOf(&s, field.NewPath("spec")) {
		c.container.Image = strings.TrimSpace(c.container.Image)
		for i := range c.container.Ports {
			if port := &c.container.Ports[i]; s.HostNetwork && port.HostPort == 0 {
				port.HostPort = port.ContainerPort
				filled.Insert(c.path.Child("ports").Index(i).Child("hostPort").String())
			}
		}
	}
	return s, filled
}
