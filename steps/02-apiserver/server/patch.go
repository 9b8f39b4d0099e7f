package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"sync"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/warning"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/registry"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// maxJSONPatchOperations bounds the work that a small body can ask for, as upstream.
const maxJSONPatchOperations = 10_000

// boundCopies lets the copies of a JSON patch add no more than a body may have, as upstream: one
// that copies an object into itself doubles it. The library has one bound for the whole process.
var boundCopies = sync.OnceFunc(func() { jsonpatch.AccumulatedCopySizeLimit = MaxBody })

// patchTypes are the ways in which a client can say what to change.
var patchTypes = []types.PatchType{types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType, types.ApplyYAMLPatchType}

func (s *Server) patch(w http.ResponseWriter, q *request) error {
	media, _, err := mime.ParseMediaType(q.Header.Get("Content-Type"))
	how := types.PatchType(media)
	if err != nil || !known(how) {
		return unsupported(patchTypes)
	}
	data, err := body(q.Request)
	if err != nil {
		return err
	}
	var o metav1.PatchOptions
	if err := options(q.URL.Query(), &o); err != nil {
		return err
	}
	if err := invalid("PatchOptions", metav1validation.ValidatePatchOptions(&o, how)); err != nil {
		return err
	}
	m, err := s.manager(q.endpoint, q.sub)
	if err != nil {
		return err
	}
	p := patcher{server: s, request: q, manager: m, options: &o, data: data}
	change, err := p.change(how)
	if err != nil {
		return err
	}
	write := registry.Write{DryRun: len(o.DryRun) > 0, Subresource: q.sub, Create: how == types.ApplyYAMLPatchType}
	item, created, err := q.endpoint.registry.Update(q.Context(), q.namespace, q.info.Name, write, change)
	if err != nil {
		return err
	}
	return q.writeItem(w, madeOrNot(created), item)
}

func known(how types.PatchType) bool {
	for _, t := range patchTypes {
		if t == how {
			return true
		}
	}
	return false
}

// A patcher is one patch, to be applied to whatever the object is by then.
type patcher struct {
	server  *Server
	request *request
	manager *managedfields.FieldManager
	options *metav1.PatchOptions
	data    []byte
}

// change parses the patch. What can't be parsed is a 400, what can't be applied a 422.
func (p *patcher) change(how types.PatchType) (registry.Change, error) {
	switch how {
	case types.ApplyYAMLPatchType:
		return p.apply()
	case types.StrategicMergePatchType:
		patch, twice, err := p.fields()
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		return p.owned(func(old resource.Object) (resource.Object, error) { return p.strategic(old, patch, twice) }), nil
	case types.JSONPatchType:
		patch, err := jsonpatch.DecodePatch(p.data)
		if err != nil {
			return nil, apierrors.NewBadRequest("error decoding patch: " + err.Error())
		}
		if len(patch) > maxJSONPatchOperations {
			return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("The allowed maximum operations in a JSON patch is %d, got %d", maxJSONPatchOperations, len(patch)))
		}
		return p.owned(func(old resource.Object) (resource.Object, error) { return p.onJSON(old, nil, patch.Apply) }), nil
	}
	_, twice, err := p.fields()
	if errors.Is(err, errNoJSON) {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if err != nil {
		return nil, apierrors.NewBadRequest("error decoding patch: " + err.Error())
	}
	merge := func(doc []byte) ([]byte, error) { return jsonpatch.MergePatch(doc, p.data) }
	return p.owned(func(old resource.Object) (resource.Object, error) { return p.onJSON(old, twice, merge) }), nil
}

var errNoJSON = errors.New("invalid JSON patch")

// fields reads a patch that is a JSON object, and finds the fields that it has twice.
func (p *patcher) fields() (patch map[string]any, twice []error, err error) {
	if !json.Valid(p.data) {
		return nil, nil, errNoJSON
	}
	if strict(p.options.FieldValidation) {
		twice, err = kjson.UnmarshalStrict(p.data, &patch)
	} else {
		err = kjson.UnmarshalCaseSensitivePreserveInts(p.data, &patch)
	}
	return patch, twice, err
}

// owned records who has changed what.
func (p *patcher) owned(change registry.Change) registry.Change {
	who := managerOf(p.options.FieldManager, p.request.UserAgent())
	return func(old resource.Object) (resource.Object, error) {
		next, err := change(old)
		if err != nil {
			return nil, err
		}
		if err := inNamespace(next, p.request.namespace); err != nil {
			return nil, err
		}
		if err := p.request.checkName(next); err != nil {
			return nil, err
		}
		rowDefaulter{p.request.endpoint}.Default(next)
		onceOwned(p.request.Context(), next)
		return p.manager.UpdateNoErrors(p.request.endpoint.live(old), next, who).(resource.Object), nil
	}
}

// onJSON applies a patch to the object's JSON: RFC 6902 or RFC 7386. twice is what was
// wrong with the patch itself.
func (p *patcher) onJSON(old resource.Object, twice []error, apply func([]byte) ([]byte, error)) (resource.Object, error) {
	kind := p.request.endpoint.GroupVersionKind
	before := old.DeepCopyObject()
	before.GetObjectKind().SetGroupVersionKind(kind)
	doc, err := json.Marshal(before)
	if err != nil {
		return nil, err
	}
	if doc, err = apply(doc); err != nil {
		return nil, unprocessable(err)
	}
	info, _ := runtime.SerializerInfoForMediaType(p.server.codec.infos, runtime.ContentTypeJSON)
	s := info.Serializer
	if strict(p.options.FieldValidation) {
		s = info.StrictSerializer
	}
	if err := p.named(doc); err != nil {
		return nil, err
	}
	next := p.request.endpoint.New()
	obj, actual, err := s.Decode(doc, &kind, next)
	if (err == nil || runtime.IsStrictDecodingError(err)) && (obj != next || *actual != kind) {
		err = fmt.Errorf("the patch makes a %s of a %s", actual, kind)
	}
	return next, p.judge(string(doc), twice, err)
}

// named refuses what a patch has made an object of no version of: upstream decodes that as
// one of its inner types, in which all fields have other names, and misses the name.
func (p *patcher) named(doc []byte) error {
	kind := p.request.endpoint.GroupVersionKind
	var is metav1.TypeMeta
	if err := json.Unmarshal(doc, &is); err != nil || is.APIVersion != "" {
		return nil // what does not parse, decoding will tell
	}
	if is.Kind == "" || is.Kind == kind.Kind {
		return p.request.checkName(p.request.endpoint.New())
	}
	unknown := runtime.NewNotRegisteredErrForKind(p.server.conf.Scheme.Name(), schema.GroupVersionKind{Group: kind.Group, Version: runtime.APIVersionInternal, Kind: is.Kind})
	return p.judge(string(doc), nil, unknown)
}

// judge says what is to be said about the object that a patch has made: value is what the
// client is shown of it.
func (p *patcher) judge(value string, twice []error, err error) error {
	if found, ok := runtime.AsStrictDecodingError(err); ok {
		twice, err = append(slices.Clone(twice), found.Errors()...), nil
	}
	if err == nil && len(twice) > 0 {
		err = tolerate(p.request.Context(), runtime.NewStrictDecodingError(twice), p.options.FieldValidation)
	}
	if err == nil {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(field.NewPath("patch"), value, err.Error())})
}

// strategic applies a patch that merges lists by the keys which the Go types tell.
func (p *patcher) strategic(old resource.Object, patch map[string]any, twice []error) (resource.Object, error) {
	doc, err := runtime.DefaultUnstructuredConverter.ToUnstructured(old)
	if err != nil {
		return nil, err
	}
	doc, err = strategicpatch.StrategicMergeMapPatch(doc, runtime.DeepCopyJSON(patch), old)
	value := fmt.Sprintf("%+v", patch)
	switch {
	case mergepatch.IsPreconditionFailed(err):
		return nil, apierrors.NewConflict(p.request.endpoint.GroupResource(), old.GetName(), err)
	case errors.Is(err, mergepatch.ErrBadJSONDoc), errors.Is(err, mergepatch.ErrBadPatchFormatForPrimitiveList),
		errors.Is(err, mergepatch.ErrBadPatchFormatForRetainKeys), errors.Is(err, mergepatch.ErrBadPatchFormatForSetElementOrderList),
		errors.Is(err, mergepatch.ErrUnsupportedStrategicMergePatchFormat):
		return nil, apierrors.NewBadRequest(err.Error())
	case err != nil:
		return nil, p.judge(value, nil, err)
	}
	next := p.request.endpoint.New()
	err = runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(doc, next, strict(p.options.FieldValidation))
	next.GetObjectKind().SetGroupVersionKind(p.request.endpoint.GroupVersionKind) // whatever the patch says
	return next, p.judge(value, twice, err)
}

func unprocessable(err error) error {
	return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
}

// apply is server-side apply: the patch is the whole of what its manager wants.
func (p *patcher) apply() (registry.Change, error) {
	data, err := yaml.YAMLToJSON(p.data)
	if err != nil {
		return nil, apierrors.NewBadRequest("error encoding patch: " + err.Error())
	}
	wanted := &unstructured.Unstructured{Object: map[string]any{}}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &wanted.Object); err != nil {
		return nil, apierrors.NewBadRequest("error decoding patch: " + err.Error())
	}
	if strict(p.options.FieldValidation) {
		if err := yaml.UnmarshalStrict(p.data, &map[string]any{}); err != nil && p.options.FieldValidation == metav1.FieldValidationStrict {
			return nil, apierrors.NewBadRequest("error strict decoding patch: " + err.Error())
		} else if err != nil {
			warning.AddWarning(p.request.Context(), "", err.Error())
		}
	}
	q := p.request
	force := p.options.Force != nil && *p.options.Force
	return func(old resource.Object) (resource.Object, error) {
		live := q.endpoint.live(old)
		next, err := p.manager.Apply(live, wanted.DeepCopy(), p.options.FieldManager, force)
		if err != nil {
			return nil, err
		}
		if next == nil { // there is nothing to change
			return live.(resource.Object), nil
		}
		applied := next.(resource.Object)
		return applied, q.checkName(applied)
	}, nil
}

func inNamespace(obj resource.Object, namespace string) error {
	if namespace == "" { // upstream is content, too
		obj.SetNamespace("")
	}
	if ns := obj.GetNamespace(); ns != "" && ns != namespace {
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	return nil
}
