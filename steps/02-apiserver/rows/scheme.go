package rows

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

// groups are the API groups of this step: the objects of the rows, and what is
// only sent to subresources and reviews, and never stored.
var groups = runtime.NewSchemeBuilder(
	corev1.AddToScheme,
	coordinationv1.AddToScheme,
	eventsv1.AddToScheme,
	nodev1.AddToScheme,
	schedulingv1.AddToScheme,

	authenticationv1.AddToScheme, // TokenRequest, TokenReview
	authorizationv1.AddToScheme,  // SelfSubjectAccessReview and its kin
	autoscalingv1.AddToScheme,    // Scale
	policyv1.AddToScheme,         // Eviction

	metav1.AddMetaToScheme, // Table, PartialObjectMetadata
)

// Scheme returns a new scheme that knows the Go types of the groups served here,
// and no other: what is registered costs memory and time at every start. A step
// that has rows of further groups adds their types.
// Objects are kept in the version in which they are served, so there is no
// conversion; upstream's scheme has internal types between the versions.
func Scheme(more ...func(*runtime.Scheme) error) *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(groups.AddToScheme(s))
	for _, add := range more {
		utilruntime.Must(add(s))
	}
	metav1.AddToGroupVersion(s, schema.GroupVersion{Version: "v1"}) // Status, ListOptions and the others that every group shares
	return s
}

// Codecs returns what encodes and decodes the objects of a scheme as JSON, YAML
// and protobuf. A decoded object is as it was sent: defaults are the row's.
func Codecs(s *runtime.Scheme) runtime.NegotiatedSerializer {
	return serializer.NewCodecFactory(s).WithoutConversion()
}

// StrictCodecs are Codecs that return an error for a field which is unknown, or
// is there twice, beside the object (fieldValidation Strict and Warn).
func StrictCodecs(s *runtime.Scheme) runtime.NegotiatedSerializer {
	return serializer.NewCodecFactory(s, serializer.EnableStrict).WithoutConversion()
}
