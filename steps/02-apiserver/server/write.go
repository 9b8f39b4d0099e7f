package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/warning"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/registry"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

func (s *Server) create(w http.ResponseWriter, q *request) error {
	var o metav1.CreateOptions
	if err := options(q.URL.Query(), &o); err != nil {
		return err
	}
	if err := invalid("CreateOptions", metav1validation.ValidateCreateOptions(&o)); err != nil {
		return err
	}
	obj, err := s.read(q, o.FieldValidation)
	if err != nil {
		return err
	}
	if q.endpoint.registry == nil {
		return s.createIn(w, q, q.endpoint.sub(""), obj.GetName(), obj, len(o.DryRun) > 0)
	}
	if obj.GetName() == "" && obj.GetGenerateName() == "" && q.endpoint.Validate == nil {
		return apierrors.NewBadRequest("name or generateName is required")
	}
	m, err := s.manager(q.endpoint, nil)
	if err != nil {
		return err
	}
	obj.SetDeletionTimestamp(nil) // what is not kept is nobody's
	obj.SetDeletionGracePeriodSeconds(nil)
	obj = m.UpdateNoErrors(q.endpoint.New(), obj, managerOf(o.FieldManager, q.UserAgent())).(resource.Object)
	item, err := q.endpoint.registry.Create(q.Context(), q.namespace, obj, registry.Write{DryRun: len(o.DryRun) > 0})
	if err != nil {
		return err
	}
	return q.writeItem(w, http.StatusCreated, item)
}

// read decodes an object of the endpoint's kind and fills in what was left out.
func (s *Server) read(q *request, directive string) (resource.Object, error) {
	obj := q.endpoint.New()
	info, err := s.codec.serializer(q.Request)
	if err != nil {
		return nil, err
	}
	data, err := body(q.Request)
	if err != nil {
		return nil, err
	}
	if err := s.codec.decode(q.Context(), info, data, q.endpoint.GroupVersionKind, obj, directive); err != nil {
		return nil, err
	}
	rowDefaulter{q.endpoint}.Default(obj)
	onceOwned(q.Context(), obj)
	return obj, nil
}

// onceOwned leaves out owners that are named a second time, and tells the client so.
func onceOwned(ctx context.Context, obj resource.Object) {
	var once []metav1.OwnerReference
	var again []string
	for _, ref := range obj.GetOwnerReferences() {
		if slices.ContainsFunc(once, func(r metav1.OwnerReference) bool { return equality.Semantic.DeepEqual(r, ref) }) {
			again = append(again, string(ref.UID))
		} else {
			once = append(once, ref)
		}
	}
	if len(again) == 0 {
		return
	}
	obj.SetOwnerReferences(once)
	warning.AddWarning(ctx, "", ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, "+
		"and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: "+strings.Join(again, ", "))
}

func (s *Server) update(w http.ResponseWriter, q *request) error {
	var o metav1.UpdateOptions
	if err := options(q.URL.Query(), &o); err != nil {
		return err
	}
	if err := invalid("UpdateOptions", metav1validation.ValidateUpdateOptions(&o)); err != nil {
		return err
	}
	obj, err := s.read(q, o.FieldValidation)
	if err != nil {
		return err
	}
	if err := q.checkName(obj); err != nil {
		return err
	}
	m, err := s.manager(q.endpoint, q.sub)
	if err != nil {
		return err
	}
	who := managerOf(o.FieldManager, q.UserAgent())
	write := registry.Write{DryRun: len(o.DryRun) > 0, Subresource: q.sub, UID: obj.GetUID(), Create: q.endpoint.CreateOnUpdate}
	item, created, err := q.endpoint.registry.Update(q.Context(), q.namespace, q.info.Name, write, func(old resource.Object) (resource.Object, error) {
		next := obj.DeepCopyObject().(resource.Object)
		return m.UpdateNoErrors(q.endpoint.live(old), next, who).(resource.Object), nil
	})
	if err != nil {
		return err
	}
	return q.writeItem(w, madeOrNot(created), item)
}

func madeOrNot(created bool) int {
	if created {
		return http.StatusCreated
	}
	return http.StatusOK
}

// live is the old object for somebody who may change it, and an empty one if
// there is none.
func (e *endpoint) live(old resource.Object) runtime.Object {
	if old == nil {
		return e.New()
	}
	return old.DeepCopyObject()
}

// checkName compares what the object says it is with the path.
func (q *request) checkName(obj resource.Object) error {
	switch name := obj.GetName(); name {
	case q.info.Name:
	case "":
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s based on URL) was undeterminable: name must be provided", q.info.Name))
	default:
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", name, q.info.Name))
	}
	return inNamespace(obj, q.namespace)
}

// createSub is a POST to a subresource.
func (s *Server) createSub(w http.ResponseWriter, q *request) error {
	var o metav1.CreateOptions
	if err := options(q.URL.Query(), &o); err != nil {
		return err
	}
	if err := invalid("CreateOptions", metav1validation.ValidateCreateOptions(&o)); err != nil {
		return err
	}
	info, err := s.codec.serializer(q.Request)
	if err != nil {
		return err
	}
	data, err := body(q.Request)
	if err != nil {
		return err
	}
	obj := q.sub.New()
	if err := s.codec.decode(q.Context(), info, data, q.sub.GroupVersionKind, obj, o.FieldValidation); err != nil {
		return err
	}
	return s.createIn(w, q, q.sub, q.info.Name, obj, len(o.DryRun) > 0)
}

func (s *Server) createIn(w http.ResponseWriter, q *request, sub *resource.Subresource, name string, obj runtime.Object, dryRun bool) error {
	if sub == nil || sub.Create == nil {
		return refused(http.StatusMethodNotAllowed)
	}
	if q.out.form != asIs { // there is nothing of what tables and metadata are made
		return notAcceptable()
	}
	if m, ok := obj.(metav1.Object); ok {
		if ns := m.GetNamespace(); ns != "" && q.namespace != "" && ns != q.namespace {
			return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
		}
	}
	obj.GetObjectKind().SetGroupVersionKind(sub.GroupVersionKind)
	if err := s.admitIn(q, sub, name, obj, dryRun); err != nil {
		return err
	}
	result, err := sub.Create(q.Context(), s.Objects(), q.namespace, name, obj, dryRun)
	if err != nil {
		return err
	}
	kinds, _, err := s.conf.Scheme.ObjectKinds(result)
	if err != nil {
		return fmt.Errorf("answer of %s/%s: %w", q.info.Resource, sub.Name, err)
	}
	kind := kinds[0]
	if kind.Kind == statusKind.Kind {
		kind = statusKind
	}
	writeObject(w, q.out, http.StatusCreated, result, kind)
	return nil
}

// admitIn asks everybody who may refuse what is made below an object, as the
// registry asks about the objects themselves.
func (s *Server) admitIn(q *request, sub *resource.Subresource, name string, obj runtime.Object, dryRun bool) error {
	made, ok := obj.(resource.Object)
	if !ok {
		return nil
	}
	r := &resource.Request{Operation: resource.Create, Resource: &q.endpoint.Resource, Subresource: sub.Name,
		Namespace: q.namespace, Name: name, Object: made, DryRun: dryRun, Server: s.Objects(), Memory: objects{s}}
	for _, a := range s.conf.Admission {
		err := a.Admit(q.Context(), r)
		var known apierrors.APIStatus
		if err != nil && !errors.As(err, &known) {
			return apierrors.NewForbidden(q.endpoint.GroupResource(), name, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
