package apiserver

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/metrics"
)

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want string // in the error; empty is none
	}{
		{"data alone", []string{"--data-dir", "d"}, ""},
		{"nothing", nil, "--data-dir is missing"},
		{"etcd without certificates", []string{"--etcd-servers", "http://127.0.0.1:2379"}, "--tls-cert-file"},
		{"a bad address", []string{"--data-dir", "d", "--bind-address", "here"}, "--bind-address"},
		{"a bad range", []string{"--data-dir", "d", "--service-cluster-ip-range", "10.0.0.1"}, "--service-cluster-ip-range"},
		{"no time", []string{"--data-dir", "d", "--event-ttl", "0s"}, "--event-ttl"},
		{"something else", []string{"--data-dir", "d", "more"}, `unknown argument "more"`},
		{"an unknown flag", []string{"--nope"}, "unknown flag"},
	} {
		_, err := parse(c.args)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	if err := etcdCommand(t.Context(), []string{"explode"}, os.Stderr); err == nil || !strings.Contains(err.Error(), "usage") {
		t.Errorf("an unknown command: got %v, want the usage", err)
	}
}

// kubectl version -o yaml shows all of it.
func TestTheVersionSaysByWhatItWasBuilt(t *testing.T) {
	if version.GoVersion == "" || version.Compiler == "" || version.Platform == "" {
		t.Errorf("got %+v", version)
	}
}

// A server that is busy is well: who looks after it must not wait behind those who make it so,
// and restart it for that.
func TestProbesNeedNoPlace(t *testing.T) {
	full := (&flags{}).limit(metrics.New())(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for path, want := range map[string]int{"/livez": 200, "/readyz/etcd": 200, "/healthz": 200, "/livezoo": 429, "/version": 429} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		ctx, cancel := context.WithCancel(request.WithUser(r.Context(), &user.DefaultInfo{Name: user.Anonymous}))
		cancel() // who has no place need not wait for one
		w := httptest.NewRecorder()
		full.ServeHTTP(w, r.WithContext(ctx))
		if w.Code != want {
			t.Errorf("%s: got %d, want %d", path, w.Code, want)
		}
	}
}
