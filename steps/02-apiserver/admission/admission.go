// Package admission completes and refuses what clients write, by rules that need
// more than the object itself to be decided.
//
// Validation looks at one object and says whether it is well formed. The rules
// here look around: does the namespace exist; which service account is it, and may
// it; is it the node that it claims to be. Some complete the object by what they find,
// as a pod gets the token of its service account and the number behind the name of its
// priority. An object that has passed is validated and stored, so what is
// written here is held to the same rules as what the client wrote.
//
// Each rule is a plugin of upstream's, and has its name: plugin/pkg/admission.
package admission

import (
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// All returns the plugins in upstream's order. The later ones see what the
// earlier ones have filled in.
func All() []resource.Admission {
	return []resource.Admission{
		NamespaceLifecycle{},
		ServiceAccount{},
		NodeRestriction{},
		Priority{},
		DefaultTolerationSeconds{},
		RuntimeClass{},
	}
}

var (
	pods            = schema.GroupResource{Resource: "pods"}
	nodes           = schema.GroupResource{Resource: "nodes"}
	namespaces      = schema.GroupResource{Resource: "namespaces"}
	serviceAccounts = schema.GroupResource{Resource: "serviceaccounts"}
	csiNodes        = schema.GroupResource{Group: "storage.k8s.io", Resource: "csinodes"}
	leases          = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}
	priorityClasses = schema.GroupResource{Group: "scheduling.k8s.io", Resource: "priorityclasses"}
	runtimeClasses  = schema.GroupResource{Group: "node.k8s.io", Resource: "runtimeclasses"}
)

// is says whether the request is for the objects of a resource, rather than for
// something below them.
func is(r *resource.Request, gr schema.GroupResource) bool {
	return r.Subresource == "" && r.Resource.GroupResource() == gr
}

// forbidden is a 403 that names the object. What is one already stays it, and so does what
// is no refusal: that it could not be found out, because the store is away.
func forbidden(r *resource.Request, err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) && (apierrors.IsForbidden(err) || undecided(status.Status().Code)) {
		return err
	}
	return apierrors.NewForbidden(r.Resource.GroupResource(), nameOf(r), err)
}

func undecided(code int32) bool {
	return code == http.StatusTooManyRequests || code >= http.StatusInternalServerError
}

// nameOf is the name as far as it is known: one that will be generated is not.
func nameOf(r *resource.Request) string {
	switch {
	case r.Name != "":
		return r.Name
	case r.Object != nil && r.Object.GetName() != "":
		return r.Object.GetName()
	case r.Object != nil && r.Object.GetGenerateName() != "":
		return r.Object.GetGenerateName()
	}
	return "Unknown"
}
