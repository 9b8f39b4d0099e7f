package registry

import (
	"context"
	"errors"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/warning"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/cache"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
)

// A Write is what a client says about a write besides the object.
type Write struct {
	DryRun bool // all but the last step
	Create bool // an update may create

	// Subresource is the view through which an update is made, nil for the object
	// itself.
	Subresource *resource.Subresource

	UID types.UID // that the object must have, if it is not empty
}

// How often, and with how many letters, the server makes up a name.
const (
	nameTries     = 8
	nameLetters   = 5
	maxNamePrefix = 63 - nameLetters
)

// Create stores a new object. It takes obj over.
func (r *Registry) Create(ctx context.Context, namespace string, obj resource.Object, w Write) (*cache.Item, error) {
	if obj.GetResourceVersion() != "" {
		return nil, errors.New("resourceVersion should not be set on objects to be created")
	}
	if obj.GetName() != "" || obj.GetGenerateName() == "" {
		return r.create(ctx, namespace, obj, w)
	}
	var err error
	for range nameTries {
		next := obj.DeepCopyObject().(resource.Object)
		prefix := obj.GetGenerateName()
		next.SetName(prefix[:min(len(prefix), maxNamePrefix)] + rand.String(nameLetters))
		var item *cache.Item
		if item, err = r.create(ctx, namespace, next, w); !apierrors.IsAlreadyExists(err) {
			return item, err
		}
		err = apierrors.NewGenerateNameConflict(r.Row.GroupResource(), next.GetName(), 1)
	}
	return nil, err
}

func (r *Registry) create(ctx context.Context, namespace string, obj resource.Object, w Write) (*cache.Item, error) {
	if err := r.prepareNew(ctx, namespace, obj, w); err != nil {
		return nil, err
	}
	key := r.key(namespace, obj.GetName())
	data, err := r.encode(obj)
	if err != nil {
		return nil, err
	}
	if w.DryRun {
		if _, err := r.Store.Get(ctx, key); err == nil {
			return nil, apierrors.NewAlreadyExists(r.Row.GroupResource(), obj.GetName())
		}
		return unwritten(key, obj), nil
	}
	name := obj.GetName()
	item, err := r.put(ctx, key, obj, data, 0)
	var conflict *storage.Conflict
	if errors.As(err, &conflict) {
		return nil, r.exists(name, conflict)
	}
	if err != nil {
		return nil, r.status(err, "create", name)
	}
	return item, nil
}

func (r *Registry) exists(name string, c *storage.Conflict) error {
	err := apierrors.NewAlreadyExists(r.Row.GroupResource(), name)
	if there, e := r.item(*c.Current); e == nil && there.Object.GetDeletionTimestamp() != nil {
		err.ErrStatus.Message = "object is being deleted: " + err.ErrStatus.Message
	}
	return err
}

// prepareNew makes of what a client sent what will be stored, or refuses it.
func (r *Registry) prepareNew(ctx context.Context, namespace string, obj resource.Object, w Write) error {
	if err := inNamespace(namespace, obj); err != nil {
		return err
	}
	obj.SetCreationTimestamp(metav1.NewTime(r.Now()).Rfc3339Copy())
	obj.SetUID(uuid.NewUUID())
	obj.SetDeletionTimestamp(nil)
	obj.SetDeletionGracePeriodSeconds(nil)
	obj.SetSelfLink("")
	r.fill(obj)
	if err := r.admit(ctx, resource.Create, obj, nil, w); err != nil {
		return err
	}
	r.fill(obj) // what admission has added
	if r.Row.PrepareForCreate != nil {
		r.Row.PrepareForCreate(ctx, obj)
	}
	if errs := r.validateNew(obj); len(errs) > 0 {
		return apierrors.NewInvalid(r.Row.GroupVersionKind.GroupKind(), obj.GetName(), errs)
	}
	r.warn(ctx, r.Row.Warnings, obj, nil)
	return nil
}

// inNamespace puts the object into the namespace of the path.
func inNamespace(namespace string, obj resource.Object) error {
	if own := obj.GetNamespace(); own != "" && namespace != "" && own != namespace {
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	obj.SetNamespace(namespace)
	return nil
}

var metadata = field.NewPath("metadata")

// validateNew asks the row first, whose words are more exact, and checks the metadata
// of what it lets pass.
func (r *Registry) validateNew(obj resource.Object) field.ErrorList {
	if r.Row.Validate != nil {
		if errs := r.Row.Validate(obj); len(errs) > 0 {
			return errs
		}
	}
	return apivalidation.ValidateObjectMetaAccessor(obj, r.Row.Namespaced, pathSegment, metadata)
}

// pathSegment is what every name must be, since it stands in a path.
func pathSegment(name string, prefix bool) []string {
	if prefix {
		return content.IsPathSegmentPrefix(name)
	}
	return content.IsPathSegmentName(name)
}

func (r *Registry) warn(ctx context.Context, warnings func(obj, old resource.Object) []string, obj, old resource.Object) {
	if warnings == nil {
		return
	}
	for _, text := range warnings(obj, old) {
		warning.AddWarning(ctx, "", text)
	}
}

// admit asks everybody who may refuse. Their word is a 403 unless they say
// otherwise.
func (r *Registry) admit(ctx context.Context, o resource.Operation, obj, old resource.Object, w Write) error {
	about := obj
	if about == nil {
		about = old
	}
	request := &resource.Request{Operation: o, Resource: &r.Row, Namespace: about.GetNamespace(), Name: about.GetName(),
		Object: obj, Old: old, DryRun: w.DryRun, Server: r.Server, Memory: r.Memory}
	if w.Subresource != nil {
		request.Subresource = w.Subresource.Name
	}
	for _, a := range r.Admission {
		err := a.Admit(ctx, request)
		var known apierrors.APIStatus
		if err != nil && !errors.As(err, &known) {
			return apierrors.NewForbidden(r.Row.GroupResource(), about.GetName(), err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// spec returns the spec of objects that have a spec and a status. The generations of
// one whose row began to count them, at 1, are counted by the server from then on.
func spec(obj resource.Object) (any, bool) {
	v := reflect.ValueOf(obj).Elem()
	s := v.FieldByName("Spec")
	if !s.IsValid() || !v.FieldByName("Status").IsValid() {
		return nil, false
	}
	return s.Interface(), true
}
