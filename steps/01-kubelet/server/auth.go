package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
)

// A User is who a request comes from: of a client certificate, the common name
// and the organizations.
type User struct {
	Name   string
	Groups []string
}

// Tokens tells whose bearer token it is. That it is nobody's, or that nobody could
// be asked, is an error.
type Tokens interface {
	Authenticate(ctx context.Context, token string) (User, error)
}

// An Authorizer decides on authenticated requests. Verb and subresource are
// upstream's attributes for the resource "nodes": get, create …; "pods",
// "stats", "metrics", "healthz", "configz", and "proxy" for all else.
type Authorizer interface {
	Authorize(ctx context.Context, u User, verb, subresource string) (allowed bool, reason string)
}

// AlwaysAllow lets every authenticated client do everything.
type AlwaysAllow struct{}

// Authorize implements Authorizer.
func (AlwaysAllow) Authorize(context.Context, User, string, string) (bool, string) { return true, "" }

// authenticate lets a request pass to h when its client is known and may do
// what it wants.
func (s *Server) authenticate(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.conf.TLS == nil || s.conf.AnonymousHealthz && isBelow(r.URL.Path, "/healthz") {
			h.ServeHTTP(w, r)
			return
		}
		user, err := s.user(r)
		if token, ok := bearer(r); ok && err != nil && s.conf.Tokens != nil {
			user, err = s.conf.Tokens.Authenticate(r.Context(), token)
		}
		if err != nil {
			s.conf.Log.Info("refused a client", "remote", r.RemoteAddr, "path", r.URL.Path, "error", err)
			writeError(w, http.StatusUnauthorized, "Unauthorized")
			return
		}
		verb, subresources := attributes(r)
		for _, sub := range subresources {
			if ok, _ := s.conf.Authorizer.Authorize(r.Context(), user, verb, sub); ok {
				h.ServeHTTP(w, r)
				return
			}
		}
		writeError(w, http.StatusForbidden, fmt.Sprintf("Forbidden (user=%s, verb=%s, resource=nodes, subresource(s)=%v)\n", user.Name, verb, subresources))
	})
}

// user verifies the client certificate. The handshake only asked for it, so
// that a wrong one is answered in HTTP.
func (s *Server) user(r *http.Request) (User, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return User{}, fmt.Errorf("no client certificate")
	}
	if s.conf.TLS.ClientCAs == nil {
		return User{}, fmt.Errorf("no client CA is configured")
	}
	options := x509.VerifyOptions{
		Roots:         s.conf.TLS.ClientCAs,
		Intermediates: x509.NewCertPool(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, c := range r.TLS.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	cert := r.TLS.PeerCertificates[0]
	if _, err := cert.Verify(options); err != nil {
		return User{}, err
	}
	if cert.Subject.CommonName == "" {
		return User{}, fmt.Errorf("the client certificate has no common name")
	}
	return User{Name: cert.Subject.CommonName, Groups: cert.Subject.Organization}, nil
}

// bearer returns the token of the Authorization header (RFC 6750, section 2.1).
func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "bearer") && strings.TrimSpace(token) != ""
}

// attributes is what a request wants, in the words of RBAC. Either subresource
// is enough: the first is finer, the second is what older rules grant.
func attributes(r *http.Request) (verb string, subresources []string) {
	verbs := map[string]string{"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
	verb = verbs[r.Method]
	for _, known := range []struct{ path, subresource string }{
		{"/pods", "pods"}, {"/runningpods", "pods"}, {"/healthz", "healthz"}, {"/configz", "configz"},
	} {
		if isBelow(r.URL.Path, known.path) {
			return verb, []string{known.subresource, "proxy"}
		}
	}
	for _, known := range []string{"stats", "metrics"} {
		if isBelow(r.URL.Path, "/"+known) {
			return verb, []string{known}
		}
	}
	return verb, []string{"proxy"}
}

func isBelow(path, root string) bool {
	rest, ok := strings.CutPrefix(path, root)
	return ok && (rest == "" || rest[0] == '/')
}
