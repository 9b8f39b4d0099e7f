// Package validation says what is wrong with an object: which field, and why.
//
// Each function takes an object whose defaults are set and returns all mistakes
// at once, so that a person repairs a manifest in one go. Paths and words are
// those of upstream's pkg/apis/*/validation, for a message that a search engine
// knows is worth more than a better one. The functions look at nothing but
// the object, and at what it was before: whether a node, a secret or an account exists
// is not theirs to ask, because it may exist a moment later.
//
// What no kubelet can honour but the API allows is allowed here.
package validation

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// findings collects what is wrong with an object, in the order in which it is met.
type findings struct{ list field.ErrorList }

func (f *findings) add(list field.ErrorList) { f.list = append(f.list, list...) }

func (f *findings) required(p *field.Path, detail string) {
	f.list = append(f.list, field.Required(p, detail))
}

func (f *findings) forbidden(p *field.Path, detail string) {
	f.list = append(f.list, field.Forbidden(p, detail))
}

func (f *findings) duplicate(p *field.Path, value any) {
	f.list = append(f.list, field.Duplicate(p, value))
}

// invalid adds an error for each message: none if there is none.
func (f *findings) invalid(p *field.Path, value any, messages ...string) {
	for _, m := range messages {
		f.list = append(f.list, field.Invalid(p, value, m))
	}
}

// oneOf wants the value to be one of those supported, which are named in the order
// that upstream names them in; an empty one is missing.
func oneOf[T ~string](f *findings, p *field.Path, value T, supported ...T) {
	if value == "" {
		f.required(p, "")
		return
	}
	someOf(f, p, value, supported...)
}

// someOf is oneOf for a field whose empty value has nothing special.
func someOf[T ~string](f *findings, p *field.Path, value T, supported ...T) {
	if !slices.Contains(supported, value) {
		f.list = append(f.list, field.NotSupported(p, value, supported))
	}
}

// atLeast wants a number of at least min.
func atLeast[T cmp.Ordered](f *findings, p *field.Path, value, min T, message string) {
	if value < min {
		f.invalid(p, value, message)
	}
}

const immutable = "field is immutable"

// same wants a field not to have changed.
func (f *findings) same(p *field.Path, value, old any) {
	if !equality.Semantic.DeepEqual(value, old) {
		f.list = append(f.list, field.Invalid(p, value, immutable).WithOrigin("immutable"))
	}
}

// label wants a name as of a container or a volume.
func (f *findings) label(p *field.Path, name string) {
	f.invalid(p, name, validation.IsDNS1123Label(name)...)
}

// subdomain wants a name as most objects have one.
func (f *findings) subdomain(p *field.Path, name string) {
	f.invalid(p, name, apivalidation.NameIsDNSSubdomain(name, false)...)
}

// qualified wants a name with or without a domain before it.
func (f *findings) qualified(p *field.Path, name string) {
	f.invalid(p, name, validation.IsQualifiedName(name)...)
}

func (f *findings) labels(p *field.Path, labels map[string]string) {
	f.add(metavalidation.ValidateLabels(labels, p))
}

// strict refuses addresses in spellings that programs read differently, such as
// 010.0.0.1, except where they are already.
const strict = true

var metadata = field.NewPath("metadata")

// meta checks the metadata of a namespaced object whose name has to please the function.
func (f *findings) meta(m *metav1.ObjectMeta, name apivalidation.ValidateNameFunc) {
	f.objectMeta(m, true, name)
}

// clusterMeta is meta for an object that is in no namespace.
func (f *findings) clusterMeta(m *metav1.ObjectMeta, name apivalidation.ValidateNameFunc) {
	f.objectMeta(m, false, name)
}

func (f *findings) objectMeta(m *metav1.ObjectMeta, namespaced bool, name apivalidation.ValidateNameFunc) {
	f.add(apivalidation.ValidateObjectMeta(m, namespaced, name, metadata))
	for i, finalizer := range m.Finalizers {
		f.finalizer(metadata.Child("finalizers").Index(i), finalizer)
	}
}

// ClusterMeta checks the metadata of an object of a later step that is in no namespace, and
// whose name has to please the function.
func ClusterMeta(m *metav1.ObjectMeta, name apivalidation.ValidateNameFunc) field.ErrorList {
	f := &findings{}
	f.clusterMeta(m, name)
	return f.list
}

// metaUpdate checks what may not change in metadata.
func (f *findings) metaUpdate(m, old *metav1.ObjectMeta) {
	f.add(apivalidation.ValidateObjectMetaUpdate(m, old, metadata))
	for i, finalizer := range m.Finalizers {
		f.finalizer(metadata.Child("finalizers").Index(i), finalizer)
	}
}

// finalizer wants a name without a domain to be one that Kubernetes itself knows.
func (f *findings) finalizer(p *field.Path, name string) {
	known := []string{string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents}
	if !strings.Contains(name, "/") && !slices.Contains(known, name) {
		f.invalid(p, name, "name is neither a standard finalizer name nor is it fully qualified")
	}
}
