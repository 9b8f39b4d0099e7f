package server

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/health"
)

// paths are those that are not about a resource.
func (s *Server) paths() map[string]http.Handler {
	checks := s.checks()
	paths := map[string]http.Handler{
		"/livez/":   health.Handler("livez", health.Alive(checks), s.conf.Log),
		"/healthz/": health.Handler("healthz", health.Alive(checks), s.conf.Log),
		"/readyz/":  health.Handler("readyz", checks, s.conf.Log),
		"/version":  onlyGet(http.HandlerFunc(s.version)),
	}
	for path, h := range s.discovery() {
		paths[path] = onlyGet(h)
	}
	maps.Copy(paths, s.conf.Handlers)
	paths["/"] = index(slices.Sorted(maps.Keys(paths)))
	return paths
}

// serve is the end of the chain. A path that has a handler of its own is not
// looked for in the table.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if info := infoOf(r); info.IsResourceRequest && s.handlers[r.URL.Path] == nil {
		s.resource(w, r, info)
		return
	}
	if h := s.handler(r.URL.Path); h != nil {
		h.ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

// handler finds the longest path that the request's is, or is below.
func (s *Server) handler(path string) http.Handler {
	if path == "/" {
		return s.handlers["/"]
	}
	path = strings.TrimSuffix(path, "/")
	if h := s.handlers[path]; h != nil {
		return h
	}
	for ; path != ""; path = path[:strings.LastIndexByte(path, '/')] {
		if h := s.handlers[path+"/"]; h != nil {
			return h
		}
	}
	return nil
}

// onlyGet refuses all other methods. Upstream's does so even with HEAD.
func onlyGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			WriteError(w, r, refused(http.StatusMethodNotAllowed))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) version(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, s.conf.Version)
}

// index lists the paths, for whoever comes without one.
func index(paths []string) http.Handler {
	for i, p := range paths {
		paths[i] = strings.TrimSuffix(p, "/")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, map[string][]string{"paths": paths})
	})
}

func writeJSON(w http.ResponseWriter, v any) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(data) // an error means that the client has gone
}
