package apiserver

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/authn"
)

// remember is how long the certificate of a connection is believed without being
// verified again. A certificate that ends is refused that much later.
const remember = time.Minute

// A connection remembers whose it is: a signature takes longer to verify than
// most requests take to serve.
type connection struct {
	mu    sync.Mutex // guards the fields below
	until time.Time
	who   user.Info
	ok    bool
}

type connectionKey struct{}

// withConnection is an http.Server's ConnContext.
func withConnection(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, &connection{})
}

// remembered asks an authenticator that looks at nothing but the connection.
type remembered struct{ authn.Authenticator }

// Authenticate implements authn.Authenticator. Refusals are not remembered.
func (a remembered) Authenticate(r *http.Request) (user.Info, bool, error) {
	c, known := r.Context().Value(connectionKey{}).(*connection)
	if !known {
		return a.Authenticator.Authenticate(r)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Before(c.until) {
		return c.who, c.ok, nil
	}
	who, ok, err := a.Authenticator.Authenticate(r)
	if err == nil {
		c.who, c.ok, c.until = who, ok, now.Add(remember)
	}
	return who, ok, err
}
