package authz

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// Forbidden is the answer to a request that nobody has allowed: the sentence that
// it was, and why if somebody said.
func Forbidden(a authorizer.Attributes, reason string) error {
	who := ""
	if a.GetUser() != nil {
		who = a.GetUser().GetName()
	}
	sentence := fmt.Sprintf("User %q cannot %s path %q", who, a.GetVerb(), a.GetPath())
	if a.IsResourceRequest() {
		resource := a.GetResource()
		if a.GetSubresource() != "" {
			resource += "/" + a.GetSubresource()
		}
		sentence = fmt.Sprintf("User %q cannot %s resource %q in API group %q", who, a.GetVerb(), resource, a.GetAPIGroup())
		if a.GetNamespace() != "" {
			sentence += fmt.Sprintf(" in the namespace %q", a.GetNamespace())
		} else {
			sentence += " at the cluster scope"
		}
	}
	if reason != "" {
		sentence += ": " + reason
	}
	return apierrors.NewForbidden(schema.GroupResource{Group: a.GetAPIGroup(), Resource: a.GetResource()}, a.GetName(), errors.New(sentence))
}
