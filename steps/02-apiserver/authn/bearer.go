package authn

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/textproto"
	"strings"
	"unicode/utf8"

	"k8s.io/apiserver/pkg/authentication/user"
)

// A Verifier judges a token: who shows it, and for which of the audiences (the
// API server's own, if none are given) it is good. ok and err are as an
// [Authenticator]'s.
type Verifier interface {
	Verify(ctx context.Context, token string, audiences []string) (who user.Info, good []string, ok bool, err error)
}

// Bearer knows clients by the token that they send (RFC 6750, section 2.1). What is
// sent is taken out of the request, as no handler has a use for it: none can
// leak it, or pass it on to a kubelet.
type Bearer struct{ Verifier }

var errInvalidToken = errors.New("invalid bearer token")

// Authenticate implements Authenticator.
func (b Bearer) Authenticate(r *http.Request) (user.Info, bool, error) {
	token, ok := bearer(r.Header.Get("Authorization"))
	if ok {
		r.Header.Del("Authorization")
	} else if token, ok = fromProtocols(r.Header); !ok {
		return nil, false, nil
	}
	who, _, ok, err := b.Verify(r.Context(), token, nil)
	if !ok && err == nil {
		err = errInvalidToken
	}
	return who, ok, err
}

// bearer reads the value of the header Authorization.
func bearer(header string) (token string, ok bool) {
	scheme, token, ok := strings.Cut(strings.TrimSpace(header), " ")
	if !ok || !strings.EqualFold(scheme, "bearer") || token == "" || strings.ContainsAny(token, " \t") {
		return "", false
	}
	return token, true
}

// protocolPrefix begins the subprotocol by which a browser can send a token,
// which cannot set headers of a WebSocket: the token follows, in base64.
const protocolPrefix = "base64url.bearer.authorization.k8s.io."

// fromProtocols takes a token out of the subprotocols of a WebSocket, if it is
// there once and is not the only one: the server has to answer with another.
func fromProtocols(h http.Header) (token string, ok bool) {
	const name = "Sec-Websocket-Protocol"
	if !strings.EqualFold(h.Get("Upgrade"), "websocket") {
		return "", false
	}
	var rest []string
	for _, line := range h[name] {
		for p := range strings.SplitSeq(line, ",") {
			p = textproto.TrimString(p)
			encoded, is := strings.CutPrefix(p, protocolPrefix)
			if !is {
				rest = append(rest, p)
				continue
			}
			decoded, err := base64.RawURLEncoding.DecodeString(encoded)
			if err != nil || !utf8.Valid(decoded) || len(decoded) == 0 || token != "" {
				return "", false
			}
			token = string(decoded)
		}
	}
	if token == "" || len(rest) == 0 {
		return "", false
	}
	h.Set(name, strings.Join(rest, ","))
	return token, true
}
