package printing

import (
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// ConfigMapColumns are the columns of config maps.
var ConfigMapColumns = columns{name, column("Data", doc(corev1.ConfigMap{}, "data")), age}

// ConfigMap is the line of a config map.
func ConfigMap(c *corev1.ConfigMap) []any {
	return []any{c.Name, int64(len(c.Data) + len(c.BinaryData)), ageOf(c)}
}

// SecretColumns are the columns of secrets.
var SecretColumns = columns{name, column("Type", doc(corev1.Secret{}, "type")), column("Data", doc(corev1.Secret{}, "data")), age}

// Secret is the line of a secret.
func Secret(s *corev1.Secret) []any {
	return []any{s.Name, string(s.Type), int64(len(s.Data)), ageOf(s)}
}

// ServiceAccountColumns are the columns of service accounts.
var ServiceAccountColumns = columns{name, age}

// ServiceAccount is the line of a service account.
func ServiceAccount(a *corev1.ServiceAccount) []any { return []any{a.Name, ageOf(a)} }

// PodTemplateColumns are the columns of pod templates.
var PodTemplateColumns = columns{
	name,
	column("Containers", "Names of each container in the template."),
	column("Images", "Images referenced by each container in the template."),
	column("Pod Labels", "The labels for the pod template."),
}

// PodTemplate is the line of a pod template.
func PodTemplate(t *corev1.PodTemplate) []any {
	var names, images []string
	for _, c := range t.Template.Spec.Containers {
		names, images = append(names, c.Name), append(images, c.Image)
	}
	return []any{t.Name, strings.Join(names, ","), strings.Join(images, ","), labels.FormatLabels(t.Template.Labels)}
}

// LeaseColumns are the columns of leases.
var LeaseColumns = columns{name, column("Holder", doc(coordinationv1.LeaseSpec{}, "holderIdentity")), age}

// Lease is the line of a lease.
func Lease(l *coordinationv1.Lease) []any {
	holder := ""
	if l.Spec.HolderIdentity != nil {
		holder = *l.Spec.HolderIdentity
	}
	return []any{l.Name, holder, ageOf(l)}
}

// PriorityClassColumns are the columns of priority classes.
var PriorityClassColumns = columns{
	name,
	typed("integer", "Value", doc(schedulingv1.PriorityClass{}, "value")),
	typed("boolean", "Global-Default", doc(schedulingv1.PriorityClass{}, "globalDefault")),
	age,
	column("PreemptionPolicy", doc(schedulingv1.PriorityClass{}, "preemptionPolicy")),
}

// PriorityClass is the line of a priority class.
func PriorityClass(c *schedulingv1.PriorityClass) []any {
	policy := ""
	if c.PreemptionPolicy != nil {
		policy = string(*c.PreemptionPolicy)
	}
	return []any{c.Name, int64(c.Value), c.GlobalDefault, ageOf(c), policy}
}

// RuntimeClassColumns are the columns of runtime classes.
var RuntimeClassColumns = columns{name, column("Handler", ""), age}

// RuntimeClass is the line of a runtime class.
func RuntimeClass(c *nodev1.RuntimeClass) []any { return []any{c.Name, c.Handler, ageOf(c)} }
