package openapi

import (
	"cmp"
	"net/http"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

var (
	encodings = []string{"application/json", runtime.ContentTypeYAML, runtime.ContentTypeProtobuf}
	streams   = append(slices.Clone(encodings), "application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")
	patches   = []string{"application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml"}
)

// describe adds the paths of a row, and the definitions of all that is sent and
// received there.
func (s *schemas) describe(r *resource.Resource, paths map[string]spec.PathItem) {
	w := &writer{schemas: s, row: r, kind: r.GroupVersionKind}
	base := groupPath(r.GroupVersion())
	collection := base + "/" + r.Name
	if r.Namespaced {
		if w.has("list") {
			w.add(paths, collection, spec.PathItemProps{Get: w.list()})
		}
		collection = base + "/namespaces/{namespace}/" + r.Name
		w.place = append(w.place, inPath("namespace", "object name and auth scope, such as for teams and projects"))
	}
	w.add(paths, collection, w.collection())
	w.place = append(w.place, inPath("name", "name of the "+r.Kind))
	w.add(paths, collection+"/{name}", w.item())
	for i := range r.Subresources {
		if sub := &r.Subresources[i]; sub.Name != "" {
			w.add(paths, collection+"/{name}/"+sub.Name, w.subresource(sub))
		}
	}
}

// A writer writes the operations of one row.
type writer struct {
	*schemas
	row   *resource.Resource
	kind  schema.GroupVersionKind
	sub   string           // the subresource's name
	place []spec.Parameter // that lead to the path
}

// id names an operation, as upstream does: generators of clients make functions of
// these names, such as listCoreV1NamespacedPod and connectCoreV1GetNamespacedPodExec.
func (w *writer) id(verb, how string) string {
	gv := w.row.GroupVersion()
	var group string
	for word := range strings.SplitSeq(strings.TrimSuffix(cmp.Or(gv.Group, "core"), ".k8s.io"), ".") {
		group += title(word)
	}
	scope, end := "", ""
	switch {
	case w.row.Namespaced && len(w.place) == 0:
		end = "ForAllNamespaces"
	case w.row.Namespaced:
		scope = "Namespaced"
	}
	return verb + group + title(gv.Version) + how + scope + w.row.Kind + title(w.sub) + end
}

func title(word string) string {
	if word == "" {
		return ""
	}
	return strings.ToUpper(word[:1]) + word[1:]
}

func (w *writer) has(verb string) bool { return !slices.Contains(w.row.Without, verb) }

func article(kind string) string {
	if strings.ContainsAny(kind[:1], "AEIOU") {
		return "an " + kind
	}
	return "a " + kind
}

// add adds a path, if anything can be done there.
func (w *writer) add(paths map[string]spec.PathItem, path string, item spec.PathItemProps) {
	if item.Get == nil && item.Post == nil && item.Put == nil && item.Patch == nil && item.Delete == nil {
		return
	}
	item.Parameters = append(slices.Clone(w.place), query("pretty", "string", "If 'true', then the output is pretty printed."))
	paths[path] = spec.PathItem{PathItemProps: item}
}

// whole is the object itself, as it is sent and returned.
func (w *writer) whole() spec.Schema { return w.of(reflect.TypeOf(w.row.New())) }

func (w *writer) collection() (item spec.PathItemProps) {
	if w.has("list") {
		item.Get = w.list()
	}
	if w.has("create") {
		item.Post = w.operation("post", w.id("create", ""), "create "+article(w.kind.Kind), w.whole(), writeOptions()...)
		w.send(item.Post, encodings, w.whole(), true)
		may(item.Post, http.StatusCreated, http.StatusAccepted)
	}
	if w.has("deletecollection") {
		status := w.of(reflect.TypeFor[metav1.Status]())
		item.Delete = w.operation("deletecollection", w.id("delete", "Collection"), "delete collection of "+w.kind.Kind, status, append(slices.Clone(listOptions()), deleteOptions()...)...)
		w.send(item.Delete, encodings, w.of(reflect.TypeFor[metav1.DeleteOptions]()), false)
	}
	return item
}

func (w *writer) list() *spec.Operation {
	o := w.operation("list", w.id("list", ""), "list or watch objects of kind "+w.kind.Kind, w.of(reflect.TypeOf(w.row.NewList())), listOptions()...)
	o.Produces = streams
	return o
}

func (w *writer) item() (item spec.PathItemProps) {
	if w.has("get") {
		item.Get = w.operation("get", w.id("read", ""), "read the specified "+w.kind.Kind, w.whole())
	}
	if w.has("update") {
		item.Put = w.operation("put", w.id("replace", ""), "replace the specified "+w.kind.Kind, w.whole(), writeOptions()...)
		w.send(item.Put, encodings, w.whole(), true)
		may(item.Put, http.StatusCreated)
	}
	if w.has("patch") {
		item.Patch = w.patch("the specified " + w.kind.Kind)
	}
	if w.has("delete") {
		last := w.of(reflect.TypeFor[metav1.Status]())
		if w.row.ReturnDeleted {
			last = w.whole()
		}
		item.Delete = w.operation("delete", w.id("delete", ""), "delete "+article(w.kind.Kind), last, deleteOptions()...)
		w.send(item.Delete, encodings, w.of(reflect.TypeFor[metav1.DeleteOptions]()), false)
		may(item.Delete, http.StatusAccepted)
	}
	return item
}

func (w *writer) patch(what string) *spec.Operation {
	force := query("force", "boolean", "Force is going to \"force\" Apply requests. It means user will re-acquire conflicting fields owned by other people.")
	o := w.operation("patch", w.id("patch", ""), "partially update "+what, w.whole(), append(slices.Clone(writeOptions()), force)...)
	w.send(o, patches, w.of(reflect.TypeFor[metav1.Patch]()), true)
	may(o, http.StatusCreated)
	return o
}

// subresource describes the three kinds that there are.
func (w *writer) subresource(sub *resource.Subresource) (item spec.PathItemProps) {
	of := *w
	of.sub = sub.Name
	if sub.Kind != "" {
		of.kind = sub.GroupVersionKind
	}
	what := sub.Name + " of the specified " + w.kind.Kind
	switch {
	case sub.Update != nil:
		has := func(verb string) bool { return !slices.Contains(sub.Without, verb) }
		if has("get") {
			item.Get = of.operation("get", of.id("read", ""), "read "+what, w.whole())
		}
		if has("update") {
			item.Put = of.operation("put", of.id("replace", ""), "replace "+what, w.whole(), writeOptions()...)
			of.send(item.Put, encodings, w.whole(), true)
			may(item.Put, http.StatusCreated)
		}
		if has("patch") {
			item.Patch = of.patch(what)
		}
	case sub.Create != nil:
		body := w.of(reflect.TypeOf(sub.New()))
		item.Post = of.operation("post", of.id("create", ""), "create "+what, body, writeOptions()...)
		of.send(item.Post, encodings, body, true)
		may(item.Post, http.StatusCreated, http.StatusAccepted)
	default:
		connect(&of, &item, sub.ConnectMethods, what)
	}
	return item
}

func connect(w *writer, item *spec.PathItemProps, methods []string, what string) {
	if len(methods) == 0 || slices.Equal(methods, []string{http.MethodGet}) { // a log is read, though nobody knows how long
		methods = nil
		item.Get = w.operation("get", w.id("read", ""), "read "+what, plain("string", ""))
		item.Get.Produces = append([]string{"text/plain"}, encodings...)
	}
	for _, method := range methods {
		o := w.operation("connect", w.id("connect", title(strings.ToLower(method))), "connect "+method+" requests to "+what, plain("string", ""))
		o.Produces = []string{"*/*"}
		switch method {
		case http.MethodGet:
			item.Get = o
		case http.MethodPost:
			item.Post = o
		case http.MethodPut:
			item.Put = o
		case http.MethodDelete:
			item.Delete = o
		case http.MethodPatch:
			item.Patch = o
		}
	}
}

func (w *writer) operation(action, id, description string, result spec.Schema, parameters ...spec.Parameter) *spec.Operation {
	gv := w.row.GroupVersion()
	group, _, _ := strings.Cut(cmp.Or(gv.Group, "core"), ".")
	return &spec.Operation{
		VendorExtensible: spec.VendorExtensible{Extensions: spec.Extensions{
			extensionAction: action,
			extensionKind:   kindExtension(w.kind),
		}},
		OperationProps: spec.OperationProps{
			ID:          id,
			Description: description,
			Schemes:     []string{"https"},
			Tags:        []string{group + "_" + gv.Version},
			Produces:    encodings,
			Parameters:  parameters,
			Responses: &spec.Responses{ResponsesProps: spec.ResponsesProps{StatusCodeResponses: map[int]spec.Response{
				http.StatusOK:           {ResponseProps: spec.ResponseProps{Description: "OK", Schema: &result}},
				http.StatusUnauthorized: {ResponseProps: spec.ResponseProps{Description: "Unauthorized"}},
			}}},
		},
	}
}

// may adds codes with which an operation may succeed, too.
func may(o *spec.Operation, codes ...int) {
	for _, code := range codes {
		r := o.Responses.StatusCodeResponses[http.StatusOK]
		r.Description = http.StatusText(code)
		o.Responses.StatusCodeResponses[code] = r
	}
}

// send adds the body of a request, which must be there or may be.
func (w *writer) send(o *spec.Operation, types []string, body spec.Schema, must bool) {
	o.Consumes = types
	o.Parameters = append([]spec.Parameter{{ParamProps: spec.ParamProps{Name: "body", In: "body", Required: must, Schema: &body}}}, o.Parameters...)
}
