// Package resource is the table that the API server is made of.
//
// The server knows how to store, watch, patch and print objects, and knows no
// kind of object. What it serves is a list of rows: each tells the names of one
// resource, where it is stored, what is filled in, what is refused, and what
// kubectl prints. A later step that brings new kinds appends rows, and changes
// no line of the server.
package resource

import (
	"context"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// An Object is what a row stores: a pointer to one of upstream's API types.
type Object interface {
	runtime.Object
	metav1.Object
}

// A Resource is one row of the table. Only the fields down to New are needed;
// a function that is nil has nothing to do.
//
// The functions decide and touch nothing: they may change the object that they
// are given first, and nothing else. What needs the world, such as an address
// that no other service has, is an [Admission] of the server.
type Resource struct {
	schema.GroupVersionKind        // as it is served and as it is stored
	Name                    string // plural, as in the path: "pods"
	Singular                string
	ShortNames              []string
	Categories              []string // "all"
	Namespaced              bool

	// Prefix is the place in the store, without the leading /registry/, as
	// upstream lays it out: "pods", "services/specs", "minions".
	Prefix string

	New     func() Object
	NewList func() runtime.Object

	// SameAs names the row that stores the objects of this one, if it is another
	// view of them: events of events.k8s.io are those of core/v1. To and From
	// convert between this row's objects and that row's.
	SameAs   schema.GroupResource
	To, From func(Object) (Object, error)

	// Strategy is how objects are made and changed by themselves.
	Strategy

	// Fields are what a field selector can ask for besides metadata.name and
	// metadata.namespace.
	Fields func(Object) fields.Set

	// Columns and Cells are what `kubectl get` prints, NAME and AGE among them, one
	// cell for each column, as upstream's printers word them. Without them it is
	// the name and the time of creation.
	Columns []metav1.TableColumnDefinition
	Cells   func(Object) []any
	// Line, if there is one, tells clients what is to be known of an object's whole line:
	// that it is of something that has come to its end.
	Line func(Object) []metav1.TableRowCondition

	// Subresources are further paths below an object: status, log, binding.
	Subresources []Subresource

	// NotOwned are the paths of fields that nobody comes to own, because nobody can write
	// them; the status is one by itself if it is a subresource.
	NotOwned [][]any

	// Without are the verbs that there are not for this resource, of create, get,
	// list, watch, update, patch, delete and deletecollection.
	//
	// A row whose Prefix is empty stores nothing, and a subresource with no name
	// answers the POST to its collection: bindings are such.
	Without []string
}

// A Strategy is what happens to an object between its arrival and the store.
// Upstream's peers are the packages pkg/registry/*/*/strategy.go.
type Strategy struct {
	// Default fills in what was left out. It is also applied to what is read from
	// the store, so that an object of an older step is whole. Twice is as once.
	Default func(Object)

	// PrepareForCreate and PrepareForUpdate take out what a client may not set
	// there (the status, mostly) and set what the server sets itself. Generation
	// is counted by the server whenever spec changes, if the row has begun it at 1.
	PrepareForCreate func(ctx context.Context, obj Object)
	PrepareForUpdate func(ctx context.Context, obj, old Object)

	// Validate and ValidateUpdate say what is wrong, with the field's path, in
	// upstream's words. Object metadata is validated by the server.
	Validate       func(obj Object) field.ErrorList
	ValidateUpdate func(obj, old Object) field.ErrorList

	// Warnings are told to the client and change nothing. old is nil on create.
	Warnings func(obj, old Object) []string

	// GracePeriod is how many seconds an object has between the wish to delete it
	// and its end, given what the client asked for (nil: nothing). 0 deletes at
	// once. Nil is 0. Pods are why there is this.
	GracePeriod func(obj Object, asked *int64) int64

	// Finalizers are what keeps an object that is deleted besides its
	// metadata.finalizers. Namespaces, which have spec.finalizers, are why.
	Finalizers func(obj Object) []string

	// NoDependents: nobody belongs to an object of this row, so what a delete says of those
	// who do (propagationPolicy) changes nothing. Upstream: rest.Unsupported.
	NoDependents bool

	// ReturnDeleted answers a deletion with the object as it was at its end, and not
	// with a Status that names it. What an object's deletion answers is for upstream's row to
	// say; there is no rule.
	ReturnDeleted bool

	// CreateOnUpdate allows a PUT of an object that does not exist.
	CreateOnUpdate bool

	// VersionOnUpdate refuses a PUT that does not name the version it has seen, which else
	// replaces what is there, whatever it is. A lock is no lock without.
	VersionOnUpdate bool
}

// A Subresource is a path below an object. It is one of three: a view of the
// object with a strategy of its own (Update), something that is made there
// (Create), or a connection (Connect).
type Subresource struct {
	Name string // "status"

	// Kind is what is sent and returned there; empty is the object's own.
	schema.GroupVersionKind

	// Update: the subresource is the object itself, of which GET, PUT and PATCH
	// see and change a part.
	Update *Strategy

	// NotOwned are the paths of fields, besides the spec, that nobody comes to own by a
	// write of the status, because that does not change them.
	NotOwned [][]any

	// Without are those of get, update and patch that there are not for a view.
	Without []string

	// Create handles a POST: obj is a new Kind, decoded, defaulted and not yet validated.
	// It returns what the client is to see. It works on the store through the
	// server, so that conflicts, history and watchers are as for any write.
	Create func(ctx context.Context, server Server, namespace, name string, obj runtime.Object, dryRun bool) (runtime.Object, error)
	New    func() runtime.Object

	// Connect serves the verbs of ConnectMethods (GET if there are none) by itself: logs, exec.
	// Its options have been authorized, nothing else.
	Connect        func(server Server, namespace, name string) (http.Handler, error)
	ConnectMethods []string
}

// A Server is what rows and admission may ask of the API server that serves them.
type Server interface {
	// Get reads the newest object. The error is a Status error as a client would see it.
	Get(ctx context.Context, resource schema.GroupResource, namespace, name string) (Object, error)

	// List reads all objects of a namespace, or of all namespaces if it is empty.
	List(ctx context.Context, resource schema.GroupResource, namespace string) ([]Object, error)

	// Update changes an object: change is called with the newest one, possibly
	// several times, until it could be written or change returned an error, or
	// said that it had changed nothing.
	Update(ctx context.Context, resource schema.GroupResource, namespace, name string, change func(Object) (changed bool, err error)) error

	// Create stores a new object, by the same way as a client's.
	Create(ctx context.Context, resource schema.GroupResource, obj Object) (Object, error)
}

// A Memory is what the API server knows without a question to the store. It has
// everything that this server has written, and what other servers have written
// some milliseconds later. What it returns is a copy.
type Memory interface {
	// Recall is Get, for a decision that may be made by what was true a moment ago.
	// Before it says that there is no such object it looks in the store.
	Recall(ctx context.Context, resource schema.GroupResource, namespace, name string) (Object, error)

	// RecallAll is List of all namespaces, in the same way.
	RecallAll(ctx context.Context, resource schema.GroupResource) ([]Object, error)
}

// GroupResource is the row's name within its group.
func (r *Resource) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: r.Group, Resource: r.Name}
}

// GroupVersionResource is the row's name with its version.
func (r *Resource) GroupVersionResource() schema.GroupVersionResource {
	return r.GroupVersion().WithResource(r.Name)
}
