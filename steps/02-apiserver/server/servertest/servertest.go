// Package servertest runs an API server for tests: the real one, on a store in
// memory, where everybody may do everything.
package servertest

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/rest"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/rows"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/server"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/memory"
)

// Somebody is whom every request comes from: an administrator, or who the header
// Test-User names.
type Somebody struct{}

// Authenticate implements server.Authenticator.
func (Somebody) Authenticate(r *http.Request) (user.Info, bool, error) {
	if name := r.Header.Get("Test-User"); name != "" {
		return &user.DefaultInfo{Name: name}, true, nil
	}
	return &user.DefaultInfo{Name: "admin", Groups: []string{user.SystemPrivilegedGroup}}, true, nil
}

// Config is that of a server with the rows of this step on an empty store.
func Config() server.Config {
	scheme := rows.Scheme()
	return server.Config{
		Rows: rows.All(), Scheme: scheme, Codecs: rows.Codecs(scheme), Store: memory.New(),
		TypeConverter: func() managedfields.TypeConverter { return applyconfigurations.NewTypeConverter(scheme) },
		Authenticator: Somebody{},
		Authorizer: authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
			if a.GetUser().GetName() == "nobody" {
				return authorizer.DecisionNoOpinion, "", nil
			}
			return authorizer.DecisionAllow, "", nil
		}),
		Timeout: time.Minute,
		Log:     slog.New(slog.DiscardHandler),
	}
}

// Start runs a server until the test ends, and returns how to reach it.
func Start(t testing.TB, conf server.Config) (*server.Server, *rest.Config) {
	t.Helper()
	s, err := server.New(conf)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	for _, row := range conf.Rows { // so that all that a test does is in their logs
		if r := s.Registry(row.GroupResource()); r != nil {
			if err := r.Cache.Wait(ctx, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	listener := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		s.Drain()
		listener.CloseClientConnections()
		listener.Close()
		cancel()
		<-done
	})
	return s, &rest.Config{Host: listener.URL, QPS: -1}
}
