// Package server is the API server's outside: it makes HTTP of the table of
// resources.
//
// A request passes a chain of handlers (chain.go), each of which adds what it
// knows or refuses: what the request is about, who it comes from, whether there is room
// for it, whether it is allowed. Behind them a resource request meets the row that it
// names, and is one of eight verbs (read.go, watch.go, write.go, patch.go,
// delete.go), or goes to a subresource. What is sent is decoded by what it says
// it is (decode.go), and what is returned is encoded as the client has asked for
// (negotiate.go, respond.go).
//
// No kind of object is mentioned here. See package resource.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/health"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/registry"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
)

// A Config is what a server is made of.
type Config struct {
	Rows      []resource.Resource
	Scheme    *runtime.Scheme              // knows all kinds that the rows send and receive
	Codecs    runtime.NegotiatedSerializer // of the scheme, without conversion
	Store     storage.Store
	Admission []resource.Admission

	// TypeConverter knows the schemas of the kinds, for who owns which field. It
	// is called once, when it is first needed.
	TypeConverter func() managedfields.TypeConverter

	Authenticator Authenticator
	Authorizer    authorizer.UnconditionalAuthorizer
	// Limit lets a request in when there is room for it, or answers 429.
	Limit     func(http.Handler) http.Handler
	Observers []Observer

	Handlers map[string]http.Handler // further paths: /metrics, /openapi/v3/; a slash at the end is for all below
	Checks   []health.Check          // of the server's health, besides those of its own
	Version  version.Info
	Address  string        // HOST:PORT that clients are told
	Timeout  time.Duration // of a request that is neither a watch nor a connection
	Log      *slog.Logger
}

// A Server serves the rows of a table.
type Server struct {
	conf      Config
	codec     *codec
	endpoints map[schema.GroupVersionResource]*endpoint
	stored    map[schema.GroupResource]*registry.Registry
	handlers  map[string]http.Handler
	converter func() managedfields.TypeConverter

	stopping context.Context // done when watches have to end
	drain    context.CancelFunc
}

// An endpoint is a row that is served.
type endpoint struct {
	resource.Resource
	registry *registry.Registry // nil if the row stores nothing
	managers sync.Map           // of field managers, by subresource
}

// New returns a server. It serves when Handler is asked, and stores when Run runs.
func New(conf Config) (*Server, error) {
	boundCopies()
	s := &Server{
		conf:      conf,
		codec:     newCodec(conf.Scheme, conf.Codecs),
		endpoints: map[schema.GroupVersionResource]*endpoint{},
		stored:    map[schema.GroupResource]*registry.Registry{},
		converter: sync.OnceValue(func() managedfields.TypeConverter { return &trusting{TypeConverter: conf.TypeConverter()} }),
	}
	s.stopping, s.drain = context.WithCancel(context.Background())
	for _, row := range conf.Rows {
		e := &endpoint{Resource: row}
		stored, err := storedAs(conf.Rows, row)
		if err != nil {
			return nil, err
		}
		if row.Prefix != "" {
			e.registry = registry.New(registry.Config{Row: row, StoredAs: stored, Store: conf.Store,
				Admission: conf.Admission, Server: objects{s}, Memory: objects{s}, Log: conf.Log})
		}
		if s.endpoints[row.GroupVersionResource()] != nil {
			return nil, fmt.Errorf("there are two rows for %s", row.GroupVersionResource())
		}
		s.endpoints[row.GroupVersionResource()] = e
		s.stored[row.GroupResource()] = e.registry
	}
	s.handlers = s.paths()
	return s, nil
}

func storedAs(rows []resource.Resource, row resource.Resource) (*resource.Resource, error) {
	if row.SameAs.Empty() {
		return nil, nil
	}
	i := slices.IndexFunc(rows, func(r resource.Resource) bool { return r.GroupResource() == row.SameAs })
	if i < 0 {
		return nil, fmt.Errorf("the row %s is stored as %s, for which there is no row", row.GroupResource(), row.SameAs)
	}
	return &rows[i], nil
}

// Run feeds the caches from the store until ctx is done.
func (s *Server) Run(ctx context.Context) {
	var caches sync.WaitGroup
	for _, e := range s.endpoints {
		if e.registry != nil {
			caches.Go(func() { e.registry.Cache.Run(ctx) })
		}
	}
	caches.Wait()
}

// Drain ends all watches, so that the listener can be shut down. It may be called
// twice. A client begins its watch again, elsewhere or later, where it was.
func (s *Server) Drain() { s.drain() }

// Registry returns the registry of a resource, nil if it is not stored here.
func (s *Server) Registry(r schema.GroupResource) *registry.Registry {
	return s.stored[r]
}

// Objects is how rows and admission see the server.
func (s *Server) Objects() resource.Server { return objects{s} }
