package authn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/pki"
)

// verifier knows the token "good", and that "bad" is one of its own.
type verifier struct{}

func (verifier) Verify(_ context.Context, token string, audiences []string) (user.Info, []string, bool, error) {
	switch token {
	case "good":
		return &user.DefaultInfo{Name: "system:serviceaccount:ns:n", Groups: []string{"system:serviceaccounts"}}, audiences, true, nil
	case "bad":
		return nil, nil, false, errors.New("service account token has expired")
	}
	return nil, nil, false, nil
}

// clientCert returns the certificates of a connection of a client.
func clientCert(t *testing.T, dir string, l pki.Leaf) []*x509.Certificate {
	t.Helper()
	a, err := pki.Open(dir)
	base := filepath.Join(dir, "client")
	if err == nil {
		err = a.Ensure(base, l)
	}
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(base+".crt", base+".key")
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{pair.Leaf}
}

func TestAuthenticate(t *testing.T) {
	dir := t.TempDir()
	admin := clientCert(t, dir, pki.Leaf{User: "kubernetes-admin", Groups: []string{"system:masters"}})
	nobody := clientCert(t, dir, pki.Leaf{Groups: []string{"system:masters"}})
	server := clientCert(t, dir, pki.Leaf{User: "kubernetes-admin", Names: []string{"server"}})
	stranger := clientCert(t, t.TempDir(), pki.Leaf{User: "kubernetes-admin"})
	pool, err := Authorities(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	all := Union{Known: []Authenticator{X509{pool}, Bearer{verifier{}}}, Otherwise: Anonymous{HealthPaths}}
	for _, c := range []struct {
		name   string
		certs  []*x509.Certificate
		header string
		path   string
		want   string // user and groups
		err    string
	}{
		{"a certificate", admin, "", "/api", "kubernetes-admin [system:masters system:authenticated]", ""},
		{"another authority's certificate", stranger, "", "/api", "", "certificate signed by unknown authority"},
		{"a server's certificate", server, "", "/api", "", "incompatible key usage"},
		{"a certificate of no user", nobody, "", "/api", "", "has no common name"},
		{"a wrong certificate and a token", stranger, "Bearer good", "/api", "system:serviceaccount:ns:n [system:serviceaccounts system:authenticated]", ""},
		{"a wrong certificate where anybody may come", stranger, "", "/healthz", "", "certificate signed by unknown authority"},
		{"a token", nil, "Bearer good", "/api", "system:serviceaccount:ns:n [system:serviceaccounts system:authenticated]", ""},
		{"a token in other letters", nil, "bearer  good", "/api", "", ""},
		{"an expired token", nil, "Bearer bad", "/api", "", "service account token has expired"},
		{"no token of ours", nil, "Bearer unknown", "/api", "", "invalid bearer token"},
		{"a wrong token where anybody may come", nil, "Bearer bad", "/healthz", "", "service account token has expired"},
		{"a password", nil, "Basic Zm9vOmJhcg==", "/api", "", ""},
		{"a password where anybody may come", nil, "Basic Zm9vOmJhcg==", "/healthz", "system:anonymous [system:unauthenticated]", ""},
		{"nobody", nil, "", "/api", "", ""},
		{"nobody, at a health check", nil, "", "/livez/etcd", "system:anonymous [system:unauthenticated]", ""},
		{"nobody, beside a health check", nil, "", "/livezz", "", ""},
		{"nobody, at the version", nil, "", "/version", "system:anonymous [system:unauthenticated]", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", c.path, nil)
			if c.header != "" {
				r.Header.Set("Authorization", c.header)
			}
			if r.TLS = nil; c.certs != nil {
				r.TLS = &tls.ConnectionState{PeerCertificates: c.certs}
			}
			who, ok, err := all.Authenticate(r)
			got := ""
			if ok {
				got = who.GetName() + " [" + strings.Join(who.GetGroups(), " ") + "]"
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("got the error %v, want %q", err, c.err)
			}
			if ok && strings.HasPrefix(c.header, "Bearer") && r.Header.Get("Authorization") != "" {
				t.Error("the handler sees the token")
			}
		})
	}
}

func TestTokenInASubprotocol(t *testing.T) {
	encode := func(token string) string { return protocolPrefix + base64.RawURLEncoding.EncodeToString([]byte(token)) }
	for _, c := range []struct {
		name      string
		protocols []string
		token     string
		rest      string
	}{
		{"one of two", []string{"v5.channel.k8s.io, " + encode("good")}, "good", "v5.channel.k8s.io"},
		{"in lines", []string{encode("good"), "v5.channel.k8s.io", "v4.channel.k8s.io"}, "good", "v5.channel.k8s.io,v4.channel.k8s.io"},
		{"nothing to answer with", []string{encode("good")}, "", encode("good")},
		{"two", []string{encode("a") + "," + encode("b") + ",v5.channel.k8s.io"}, "", encode("a") + "," + encode("b") + ",v5.channel.k8s.io"},
		{"no base64", []string{protocolPrefix + "=,v5.channel.k8s.io"}, "", protocolPrefix + "=,v5.channel.k8s.io"},
		{"empty", []string{protocolPrefix + ",v5.channel.k8s.io"}, "", protocolPrefix + ",v5.channel.k8s.io"},
		{"none", []string{"v5.channel.k8s.io"}, "", "v5.channel.k8s.io"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{"Upgrade": {"websocket"}, "Sec-Websocket-Protocol": c.protocols}
			token, ok := fromProtocols(h)
			if token != c.token || ok != (c.token != "") {
				t.Errorf("got %q, %v, want %q", token, ok, c.token)
			}
			if got := strings.Join(h["Sec-Websocket-Protocol"], ","); got != c.rest {
				t.Errorf("left: got %q, want %q", got, c.rest)
			}
		})
	}
	if _, ok := fromProtocols(http.Header{"Sec-Websocket-Protocol": {encode("good") + ",v5.channel.k8s.io"}}); ok {
		t.Error("a token was taken from a request that is no WebSocket's")
	}
}

func FuzzBearer(f *testing.F) {
	f.Add("Bearer good")
	f.Add(" bearer\tx ")
	f.Fuzz(func(t *testing.T, header string) {
		token, ok := bearer(header)
		if ok == (token == "") || strings.ContainsAny(token, " \t") {
			t.Errorf("got %q, %v", token, ok)
		}
	})
}

func TestReviews(t *testing.T) {
	rows := Reviews(verifier{}, []string{"api"})
	if len(rows) != 2 || rows[0].Name != "tokenreviews" || rows[1].Name != "selfsubjectreviews" || rows[0].Prefix != "" {
		t.Fatalf("got %v", rows)
	}
	for _, c := range []struct {
		name      string
		token     string
		audiences []string
		want      authenticationv1.TokenReviewStatus
	}{
		{"good", "good", nil, authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"api"},
			User: authenticationv1.UserInfo{Username: "system:serviceaccount:ns:n", Groups: []string{"system:serviceaccounts", "system:authenticated"}}}},
		{"for others", "good", []string{"vault"}, authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"vault"},
			User: authenticationv1.UserInfo{Username: "system:serviceaccount:ns:n", Groups: []string{"system:serviceaccounts", "system:authenticated"}}}},
		{"bad", "bad", nil, authenticationv1.TokenReviewStatus{Error: "service account token has expired"}},
		{"not ours", "unknown", nil, authenticationv1.TokenReviewStatus{Error: "invalid bearer token"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: c.token, Audiences: c.audiences}}
			out, err := rows[0].Subresources[0].Create(t.Context(), nil, "", "", in, false)
			if err != nil {
				t.Fatal(err)
			}
			got := out.(*authenticationv1.TokenReview).Status
			if got.Authenticated != c.want.Authenticated || got.Error != c.want.Error || !slices.Equal(got.Audiences, c.want.Audiences) ||
				got.User.Username != c.want.User.Username || !slices.Equal(got.User.Groups, c.want.User.Groups) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	if out, err := rows[0].Subresources[0].Create(t.Context(), nil, "", "", &authenticationv1.TokenReview{}, false); err == nil || out != nil ||
		err.Error() != "token is required for TokenReview in authentication" {
		t.Errorf("no token: got %v, %v", out, err)
	}
	ctx := request.WithUser(t.Context(), &user.DefaultInfo{Name: "u", UID: "1", Extra: map[string][]string{"k": {"v"}}})
	out, err := rows[1].Subresources[0].Create(ctx, nil, "", "", &authenticationv1.SelfSubjectReview{}, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := out.(*authenticationv1.SelfSubjectReview).Status.UserInfo; got.Username != "u" || got.UID != "1" || got.Extra["k"][0] != "v" {
		t.Errorf("whoami: got %+v", got)
	}
	if out.(*authenticationv1.SelfSubjectReview).CreationTimestamp.IsZero() {
		t.Error("whoami: it does not say when")
	}
}
