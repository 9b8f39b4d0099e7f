package lifecycle

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A shell answers every command with an exit code.
type shell int32

func (s shell) ExecSync(_ context.Context, r *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	return &runtimeapi.ExecSyncResponse{ExitCode: int32(s), Stdout: []byte(strings.Join(r.Cmd, " "))}, nil
}

func TestExecFailsWithTheCodeAndTheOutput(t *testing.T) {
	hook := &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"drain", "now"}}}
	if err := New(shell(0)).Run(t.Context(), nil, nil, "id", "", hook); err != nil {
		t.Errorf("exit code 0: got %v", err)
	}
	err := New(shell(3)).Run(t.Context(), nil, nil, "id", "", hook)
	if err == nil || !strings.HasSuffix(err.Error(), "exit code 3: drain now") {
		t.Errorf("exit code 3: got %v", err)
	}
}

func TestGetReachesTheContainer(t *testing.T) {
	var got *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.WriteHeader(http.StatusTeapot) // an answer is an answer
	}))
	defer s.Close()
	u, _ := url.Parse(s.URL)
	port, _ := strconv.Atoi(u.Port())
	c := &corev1.Container{Name: "web", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: int32(port)}}}
	get := &corev1.HTTPGetAction{Path: "/bye?soon=1", Port: intstr.FromString("http"), Scheme: corev1.URISchemeHTTPS,
		HTTPHeaders: []corev1.HTTPHeader{{Name: "host", Value: "web.local"}, {Name: "X-Why", Value: "stop"}}}
	if err := New(shell(0)).Run(t.Context(), nil, c, "id", "127.0.0.1", &corev1.LifecycleHandler{HTTPGet: get}); err != nil {
		t.Fatal(err)
	}
	if got == nil || got.URL.String() != "/bye?soon=1" || got.Host != "web.local" || got.Header.Get("X-Why") != "stop" {
		t.Errorf("got request %v", got)
	}
	get.Port = intstr.FromString("admin")
	if err := New(shell(0)).Run(t.Context(), nil, c, "id", "127.0.0.1", &corev1.LifecycleHandler{HTTPGet: get}); err == nil || !strings.Contains(err.Error(), `no port named "admin"`) {
		t.Errorf("a port without a number: got %v", err)
	}
}

func TestGetSaysWhatTheSpecSaysAndStaysWithThePod(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the pod sent the kubelet to another host")
	}))
	defer elsewhere.Close()
	var got http.Header
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		http.Redirect(w, r, strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1), http.StatusFound)
	}))
	defer s.Close()
	u, _ := url.Parse(s.URL)
	get := &corev1.HTTPGetAction{Port: intstr.Parse(u.Port()),
		HTTPHeaders: []corev1.HTTPHeader{{Name: "User-Agent", Value: "mine"}, {Name: "Accept", Value: "text/plain"}}}
	if err := New(shell(0)).Run(t.Context(), nil, &corev1.Container{}, "id", "127.0.0.1", &corev1.LifecycleHandler{HTTPGet: get}); err != nil {
		t.Fatal(err)
	}
	if agent, accept := got["User-Agent"], got["Accept"]; len(agent) != 1 || agent[0] != "mine" || len(accept) != 1 || accept[0] != "text/plain" {
		t.Errorf("got User-Agent %q and Accept %q, want those of the spec", agent, accept)
	}
}

func TestSleepEndsWithTheGracePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hook := &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 5}}
		began := time.Now()
		if err := New(shell(0)).Run(t.Context(), nil, nil, "id", "", hook); err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := New(shell(0)).Run(ctx, nil, nil, "id", "", hook); err == nil {
			t.Error("the hook slept on after its time was over")
		}
	})
}
