package server

import (
	"net/http"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	internalscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	internalvalidation "k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// A request is one about a resource.
type request struct {
	*http.Request
	info      *apirequest.RequestInfo
	endpoint  *endpoint
	sub       *resource.Subresource // nil for the object itself
	namespace string
	out       output
}

// options reads one of the kinds of options from the query.
func options(query url.Values, into runtime.Object) error {
	if err := internalscheme.ParameterCodec.DecodeParameters(query, metav1.SchemeGroupVersion, into); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	return nil
}

// invalid words what is wrong with options.
func invalid(kind string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", errs)
}

// listOptions reads the options of lists and watches.
func (q *request) listOptions() (*internalversion.ListOptions, error) {
	o := &internalversion.ListOptions{}
	if err := options(q.URL.Query(), o); err != nil {
		return nil, err
	}
	internalversion.SetListOptionsDefaults(o, true)
	if err := invalid("ListOptions", internalvalidation.ValidateListOptions(o, true)); err != nil {
		return nil, err
	}
	if q.info.Name == "" {
		return o, nil
	}
	// The name is in the path (/api/v1/watch/…), or in the selector already.
	name := fields.OneTermEqualSelector("metadata.name", q.info.Name)
	if o.FieldSelector == nil || o.FieldSelector.Empty() {
		o.FieldSelector = name
	} else if asked, ok := o.FieldSelector.RequiresExactMatch("metadata.name"); !ok {
		o.FieldSelector = fields.AndSelectors(o.FieldSelector, name)
	} else if asked != q.info.Name {
		return nil, apierrors.NewBadRequest("fieldSelector metadata.name doesn't match requested name")
	}
	return o, nil
}

// managerOf names who owns the fields that a write sets: who the client says it is, or
// its program's name.
func managerOf(manager, userAgent string) string {
	if manager != "" {
		return manager
	}
	name, _, _ := strings.Cut(userAgent, "/")
	const most = 128
	return name[:min(len(name), most)]
}
