package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// identity is who answers. A pod gets it by the downward API, in environment
// variables of these names; what is missing the process finds out by itself.
type identity struct {
	Name      string `json:"name"`
	Pod       string `json:"pod"`                 // POD_NAME, else the host name
	Namespace string `json:"namespace,omitempty"` // POD_NAMESPACE
	IP        string `json:"ip,omitempty"`        // POD_IP, else the first address of an interface
	Node      string `json:"node,omitempty"`      // NODE_NAME
}

func newIdentity(name string) identity {
	host, _ := os.Hostname()
	return identity{
		Name:      name,
		Pod:       cmp.Or(os.Getenv("POD_NAME"), host),
		Namespace: os.Getenv("POD_NAMESPACE"),
		IP:        cmp.Or(os.Getenv("POD_IP"), firstAddress()),
		Node:      os.Getenv("NODE_NAME"),
	}
}

func firstAddress() string {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return ""
}

// An answer is what / and /json tell.
type answer struct {
	identity
	Method  string              `json:"method"`
	Path    string              `json:"path"`
	Client  string              `json:"client"`
	Host    string              `json:"host"`
	Headers map[string][]string `json:"headers"`
}

type server struct {
	who            identity
	dir            string
	healthy, ready atomic.Bool
	exit           func(int)
}

func newServer(c config) *server {
	s := &server{who: newIdentity(c.name), dir: c.dir, exit: os.Exit}
	s.healthy.Store(true)
	if c.delay == 0 {
		s.ready.Store(true)
	} else {
		time.AfterFunc(c.delay, func() { s.ready.Store(true) })
	}
	return s
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.root)
	mux.HandleFunc("/json", s.json)
	mux.HandleFunc("/healthz", switchable(&s.healthy))
	mux.HandleFunc("/readyz", switchable(&s.ready))
	mux.HandleFunc("/env", env)
	mux.HandleFunc("/slow", s.slow)
	mux.HandleFunc("/exit", s.exitNow)
	return logged(mux)
}

func (s *server) answer(r *http.Request) answer {
	return answer{identity: s.who, Method: r.Method, Path: r.URL.RequestURI(), Client: r.RemoteAddr, Host: r.Host, Headers: r.Header}
}

// root serves a file when there is a directory with it, and otherwise tells
// who answers.
func (s *server) root(w http.ResponseWriter, r *http.Request) {
	if s.dir != "" {
		_, err := os.Stat(filepath.Join(s.dir, "index.html"))
		if r.URL.Path != "/" || err == nil {
			http.FileServer(http.Dir(s.dir)).ServeHTTP(w, r)
			return
		}
	}
	a := s.answer(r)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "%s: pod %s", a.Name, a.Pod)
	for _, word := range []struct{ label, value string }{{"in namespace", a.Namespace}, {"on node", a.Node}, {"at", a.IP}} {
		if word.value != "" {
			fmt.Fprintf(w, " %s %s", word.label, word.value)
		}
	}
	fmt.Fprintf(w, "\n%s %s from %s to %s\n", a.Method, a.Path, a.Client, a.Host)
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		fmt.Fprintf(w, "%s: %s\n", name, strings.Join(a.Headers[name], ", "))
	}
}

func (s *server) json(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(s.answer(r)) // the client has gone
}

// switchable answers 200 or 503, and lets a POST with ?ok=BOOL change it.
func switchable(state *atomic.Bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost || r.Method == http.MethodPut {
			ok, err := strconv.ParseBool(r.FormValue("ok"))
			if err != nil {
				http.Error(w, "want ?ok=true or ?ok=false", http.StatusBadRequest)
				return
			}
			state.Store(ok)
			fmt.Fprintln(w, ok)
			return
		}
		if !state.Load() {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

func env(w http.ResponseWriter, _ *http.Request) {
	for _, variable := range slices.Sorted(slices.Values(os.Environ())) {
		fmt.Fprintln(w, variable)
	}
}

func (s *server) slow(w http.ResponseWriter, r *http.Request) {
	d, err := time.ParseDuration(cmp.Or(r.FormValue("d"), "1s"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case <-time.After(d):
		s.root(w, r)
	case <-r.Context().Done():
	}
}

func (s *server) exitNow(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(cmp.Or(r.FormValue("code"), "0"))
	if err != nil || code < 0 || code > 255 {
		http.Error(w, "want ?code= from 0 to 255", http.StatusBadRequest)
		return
	}
	fmt.Fprintln(w, "exit", code)
	_ = http.NewResponseController(w).Flush()
	log.Printf("exit %d, as asked by %s", code, r.RemoteAddr)
	s.exit(code)
}

// logged writes one line for each request.
func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(status, r)
		log.Printf("%s %s %d %s %s %q", r.Method, r.URL.RequestURI(), status.status, time.Since(start).Round(time.Microsecond), r.RemoteAddr, r.UserAgent())
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// grpcHealth is grpc.health.v1.Health/Check without a gRPC library: the body is
// five bytes (not compressed, length) and a message whose field 1 is the
// status, 1 for SERVING and 2 for NOT_SERVING. It follows readiness.
func (s *server) grpcHealth(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Trailer", "Grpc-Status, Grpc-Message")
	if r.URL.Path != "/grpc.health.v1.Health/Check" {
		h.Set("Grpc-Status", "12")
		h.Set("Grpc-Message", "only grpc.health.v1.Health/Check is here")
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	status := byte(2)
	if s.ready.Load() && s.healthy.Load() {
		status = 1
	}
	_, _ = w.Write([]byte{0, 0, 0, 0, 2, 0x08, status})
	h.Set("Grpc-Status", "0")
	log.Printf("gRPC health check from %s: %d", r.RemoteAddr, status)
}
