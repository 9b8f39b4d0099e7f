package resource

import "context"

// An Operation is what a request wants to do to an object.
type Operation string

const (
	Create Operation = "CREATE"
	Update Operation = "UPDATE"
	Delete Operation = "DELETE"
)

// A Request is what admission decides about.
type Request struct {
	Operation   Operation
	Resource    *Resource
	Subresource string // "" for the object itself
	Namespace   string
	Name        string
	Object, Old Object // nil where there is none: Object on Delete, Old on Create
	DryRun      bool   // nothing may be kept, such as an address that was taken
	Server      Server
	Memory      Memory // what admission asks for every write had better be here
}

// An Admission looks at every write after it was authorized and decoded, and
// before it is validated and stored: it completes the object, or refuses it. An
// error that is no Status error is a 403 to the client.
//
// Upstream's peers are the plugins of plugin/pkg/admission.
type Admission interface {
	Name() string
	Admit(ctx context.Context, r *Request) error
}
