package serving

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/health"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// reviews is an API server that knows one token, of a monitor who may see /metrics.
func reviews() *fake.Clientset {
	c := fake.NewClientset()
	c.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		r := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview)
		r.Status.Authenticated = r.Spec.Token == "good"
		r.Status.User = authenticationv1.UserInfo{Username: "monitor"}
		return true, r, nil
	})
	c.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		r := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview)
		r.Status.Allowed = r.Spec.User == "monitor" && r.Spec.NonResourceAttributes.Path == "/metrics"
		return true, r, nil
	})
	return c
}

func TestWhoMayAsk(t *testing.T) {
	text := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "told") })
	handler := Handlers{Metrics: text, Why: text, Config: map[string]int{"a": 1}}.Handler(Access{Reviews: reviews()})
	for _, c := range []struct {
		name, path, token string
		want              int
	}{
		{"anybody: health", "/healthz", "", 200},
		{"anybody: live", "/livez", "", 200},
		{"anybody: ready", "/readyz", "", 200},
		{"nobody: metrics", "/metrics", "", 401},
		{"nobody: why", "/debug/why", "", 401},
		{"a bad token", "/metrics", "bad", 401},
		{"the monitor: metrics", "/metrics", "good", 200},
		{"the monitor: why", "/debug/why", "good", 403},
		{"the monitor: configuration", "/configz", "good", 403},
		{"profiles are off", "/debug/pprof/", "good", 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, c.path, nil)
			if c.token != "" {
				r.Header.Set("Authorization", "Bearer "+c.token)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, c.want)
			}
		})
	}
}

func TestReadinessAndHealth(t *testing.T) {
	no := func(context.Context) error { return errors.New("no") }
	handler := Handlers{Log: slog.New(slog.DiscardHandler), Checks: []health.Check{
		{Name: "leaderElection", Ask: no}, {Name: "informer-sync", Ask: no, Ready: true},
	}}.Handler(Access{})
	for path, want := range map[string]string{
		"/livez":                 "ok",
		"/livez?verbose":         "[+]ping ok\nlivez check passed\n",
		"/healthz":               "[-]leaderElection failed: reason withheld\nhealthz check failed\n",
		"/readyz":                "[-]leaderElection failed: reason withheld\n[-]informer-sync failed: reason withheld\nreadyz check failed\n",
		"/readyz/leaderElection": "[-]leaderElection failed: reason withheld\nreadyz check failed\n",
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Body.String() != want {
			t.Errorf("%s: got %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
}

func TestCertificatesOfOthersAreRefused(t *testing.T) {
	stranger, err := TLS("", "", "stranger")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(stranger.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	cert.Subject = pkix.Name{CommonName: "me", Organization: []string{masters}}
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	w := httptest.NewRecorder()
	text := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was let in") })
	Handlers{Metrics: text}.Handler(Access{Authorities: x509.NewCertPool()}).ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("got %d, want 401", w.Code)
	}
}
