package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func do(t *testing.T, h http.Handler, method, target string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w.Code, w.Body.String()
}

func TestAnswerTellsThePod(t *testing.T) {
	t.Setenv("POD_NAME", "web-1")
	t.Setenv("POD_NAMESPACE", "default")
	t.Setenv("NODE_NAME", "node-1")
	t.Setenv("POD_IP", "10.88.0.2")
	h := newServer(config{name: "web"}).handler()
	if _, body := do(t, h, "GET", "/"); !strings.Contains(body, "web: pod web-1 in namespace default on node node-1 at 10.88.0.2\nGET / from ") {
		t.Errorf("got %q", body)
	}
	_, body := do(t, h, "GET", "/json")
	var a answer
	if err := json.Unmarshal([]byte(body), &a); err != nil || a.Pod != "web-1" || a.Node != "node-1" || a.Path != "/json" {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestPaths(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	exited := -1
	s := newServer(config{dir: dir})
	s.exit = func(code int) { exited = code }
	h := s.handler()
	for _, c := range []struct {
		method, target string
		code           int
		body           string
	}{
		{"GET", "/healthz", 200, "ok\n"},
		{"POST", "/healthz?ok=false", 200, "false\n"},
		{"GET", "/healthz", 503, "no\n"},
		{"POST", "/healthz?ok=true", 200, "true\n"},
		{"GET", "/healthz", 200, "ok\n"},
		{"POST", "/readyz?ok=maybe", 400, "want ?ok=true or ?ok=false\n"},
		{"GET", "/file", 200, "content"},
		{"GET", "/missing", 404, "404 page not found\n"},
		{"GET", "/slow?d=never", 400, "time: invalid duration \"never\"\n"},
		{"GET", "/exit?code=300", 400, "want ?code= from 0 to 255\n"},
		{"GET", "/exit?code=3", 200, "exit 3\n"},
	} {
		if code, body := do(t, h, c.method, c.target); code != c.code || body != c.body {
			t.Errorf("%s %s: got %d %q; want %d %q", c.method, c.target, code, body, c.code, c.body)
		}
	}
	if exited != 3 {
		t.Errorf("got exit code %d; want 3", exited)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestRunStopsGracefully(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	port := freePort(t)
	done := make(chan error, 1)
	go func() { done <- run(ctx, config{name: "web", port: port, grace: 5 * time.Second}) }()
	url := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	deadline := time.Now().Add(5 * time.Second)
	for {
		r, err := http.Get(url + "/readyz")
		if err == nil {
			r.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	answered := make(chan error, 1)
	go func() {
		r, err := http.Get(url + "/slow?d=500ms")
		if err == nil {
			_, err = io.ReadAll(r.Body)
			r.Body.Close()
		}
		answered <- err
	}()
	// Stop while that request is under way.
	time.AfterFunc(200*time.Millisecond, cancel)
	if err := <-answered; err != nil {
		t.Errorf("a request under way was cut off: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestGRPCHealth(t *testing.T) {
	s := newServer(config{})
	for _, c := range []struct {
		ready bool
		path  string
		want  string
		grpc  string
	}{
		{true, "/grpc.health.v1.Health/Check", "\x00\x00\x00\x00\x02\x08\x01", "0"},
		{false, "/grpc.health.v1.Health/Check", "\x00\x00\x00\x00\x02\x08\x02", "0"},
		{true, "/other.Service/Method", "", "12"},
	} {
		s.ready.Store(c.ready)
		w := httptest.NewRecorder()
		s.grpcHealth(w, httptest.NewRequest("POST", c.path, strings.NewReader("\x00\x00\x00\x00\x00")))
		if got := w.Body.String(); got != c.want || w.Result().Trailer.Get("Grpc-Status") != c.grpc {
			t.Errorf("%s ready=%v: got %q, status %q; want %q, %q", c.path, c.ready, got, w.Result().Trailer.Get("Grpc-Status"), c.want, c.grpc)
		}
	}
}
