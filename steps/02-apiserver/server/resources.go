package server

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// A verb answers one kind of request. The error is for the client.
type verb func(*Server, http.ResponseWriter, *request) error

// The verbs of an object, and those of them that a view of it has.
var (
	verbs = map[string]verb{
		"get": (*Server).get, "list": (*Server).list, "watch": (*Server).watch,
		"create": (*Server).create, "update": (*Server).update, "patch": (*Server).patch,
		"delete": (*Server).delete, "deletecollection": (*Server).deleteCollection,
	}
	viewVerbs = []string{"get", "update", "patch"}
	ofObject  = []string{"get", "update", "patch", "delete"}
	ofMany    = []string{"list", "watch", "deletecollection"} // of which one can be chosen by its name
)

// resource answers a request that is about a resource.
func (s *Server) resource(w http.ResponseWriter, r *http.Request, info *apirequest.RequestInfo) {
	e := s.endpoints[schema.GroupVersionResource{Group: info.APIGroup, Version: info.APIVersion, Resource: info.Resource}]
	if e == nil && !s.serves(info.APIGroup) {
		http.NotFound(w, r)
		return
	}
	q := &request{Request: r, info: info, endpoint: e}
	if err := s.answer(w, q); err != nil {
		WriteError(w, r, err)
	}
}

// serves says whether there is a resource of this group.
func (s *Server) serves(group string) bool {
	return slices.ContainsFunc(s.conf.Rows, func(r resource.Resource) bool { return r.Group == group })
}

func (s *Server) answer(w http.ResponseWriter, q *request) (err error) {
	e, info := q.endpoint, q.info
	if e == nil || !e.Namespaced && info.Namespace != "" && info.Resource != "namespaces" {
		return refused(http.StatusNotFound)
	}
	if e.Namespaced {
		q.namespace = info.Namespace
	}
	if info.Subresource != "" {
		if q.sub = e.sub(info.Subresource); q.sub == nil {
			return refused(http.StatusNotFound)
		}
	}
	if q.sub == nil && e.Namespaced && q.namespace == "" && info.Name != "" && !slices.Contains(ofMany, info.Verb) {
		return refused(http.StatusNotFound) // no path of an object
	}
	handle := s.verb(q)
	if handle == nil {
		return refused(http.StatusMethodNotAllowed)
	}
	if q.out, err = negotiate(q.Request); err != nil {
		return err
	}
	return handle(s, w, q)
}

// refused is the answer to a path or a method that the table does not have.
func refused(code int) error {
	return apierrors.NewGenericServerResponse(code, "", schema.GroupResource{}, "", "", 0, false)
}

// verb finds who answers, nil if nobody does.
func (s *Server) verb(q *request) verb {
	e, sub, v := q.endpoint, q.sub, q.info.Verb
	switch {
	case q.Method == http.MethodHead && (sub == nil || sub.Connect == nil):
		return nil
	case sub == nil && e.Namespaced && q.namespace == "" && !slices.Contains([]string{"list", "watch"}, v):
		return nil // an object of a namespace, and no namespace
	case sub == nil && (slices.Contains(e.Without, v) || slices.Contains(ofObject, v) != (q.info.Name != "") && !slices.Contains(ofMany, v)):
		return nil // PUT of a collection, POST to an object
	case sub == nil:
		return verbs[v]
	case sub.Connect != nil && connects(sub, q.Method):
		return (*Server).connect
	case sub.Create != nil && v == "create":
		return (*Server).createSub
	case sub.Update != nil && slices.Contains(viewVerbs, v) && !slices.Contains(sub.Without, v):
		return verbs[v]
	}
	return nil
}

func connects(sub *resource.Subresource, method string) bool {
	if len(sub.ConnectMethods) == 0 {
		return method == http.MethodGet
	}
	return slices.Contains(sub.ConnectMethods, method)
}

// connect hands the request over to whoever has the other end. What has no end by itself, a
// log that is followed, ends with the server, which would else wait for it.
func (s *Server) connect(w http.ResponseWriter, q *request) error {
	handler, err := q.sub.Connect(s.Objects(), q.namespace, q.info.Name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(q.Context())
	defer cancel()
	if follow, _ := strconv.ParseBool(q.URL.Query().Get("follow")); follow && q.info.Subresource == "log" {
		defer context.AfterFunc(s.stopping, cancel)()
	}
	handler.ServeHTTP(w, q.WithContext(ctx))
	return nil
}

// Verbs are what a row can be asked for, in order, as discovery tells them.
func (e *endpoint) verbs() []string {
	var out []string
	for _, v := range []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"} {
		if !slices.Contains(e.Without, v) {
			out = append(out, v)
		}
	}
	return out
}
