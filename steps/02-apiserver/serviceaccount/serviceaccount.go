// Package serviceaccount makes and judges the tokens by which programs in pods
// are known to the API server.
//
// A service account is a name for a program. Its token is a signed statement (a
// JSON web token, RFC 7519) that says: whoever shows this is the service account N
// of namespace NS, until a time, to these audiences. It can be checked by
// everybody who has the public key, which is why the key is published the way of
// OpenID Connect. The API server checks one thing more, that no signature tells:
// that the service account, and the pod that the token was made for, still exist.
// So a token dies with its pod, although nobody can take it back.
//
// Upstream: pkg/serviceaccount and pkg/registry/core/serviceaccount/storage/token.go.
package serviceaccount

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// A Config is what tokens are made with.
type Config struct {
	// Issuer is the URL that tokens say they come from, and below which the
	// documents of OpenID Connect are found by others than the API server's clients.
	Issuer string

	// Key signs. PublicKeys are trusted besides its own: those of before, as long as
	// tokens of theirs are about.
	Key        crypto.Signer
	PublicKeys []crypto.PublicKey

	// Audiences are what the API server is called in tokens for it; the issuer, if empty.
	Audiences []string

	// MaxLife is the longest life of a token; 0 is any that is asked for.
	MaxLife time.Duration
}

// A Getter reads the newest object of a name. The error is a Status error.
type Getter interface {
	Get(ctx context.Context, resource schema.GroupResource, namespace, name string) (resource.Object, error)
}

// Tokens makes and judges tokens.
type Tokens struct {
	conf   Config
	signer jose.Signer
	keys   jose.JSONWebKeySet // public
}

// New checks the configuration.
func New(conf Config) (*Tokens, error) {
	if conf.Issuer == "" {
		return nil, fmt.Errorf("service-account tokens need an issuer")
	}
	if len(conf.Audiences) == 0 {
		conf.Audiences = []string{conf.Issuer}
	}
	t := &Tokens{conf: conf}
	for _, key := range append([]crypto.PublicKey{conf.Key.Public()}, conf.PublicKeys...) {
		public, err := jwk(key)
		if err != nil {
			return nil, err
		}
		if len(t.keys.Key(public.KeyID)) == 0 {
			t.keys.Keys = append(t.keys.Keys, public)
		}
	}
	own := t.keys.Keys[0]
	var err error
	t.signer, err = jose.NewSigner(jose.SigningKey{
		Algorithm: jose.SignatureAlgorithm(own.Algorithm),
		Key:       jose.JSONWebKey{Key: conf.Key, KeyID: own.KeyID, Algorithm: own.Algorithm},
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("service-account tokens: %w", err)
	}
	return t, nil
}

// jwk describes a public key. Its id is a digest: a token names the key that
// signed it, and gives nothing of it away.
func jwk(key crypto.PublicKey) (jose.JSONWebKey, error) {
	algorithm, err := algorithmOf(key)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	sum := sha256.Sum256(der)
	return jose.JSONWebKey{Key: key, KeyID: base64.RawURLEncoding.EncodeToString(sum[:]), Algorithm: string(algorithm), Use: "sig"}, nil
}

// algorithms are all that a token may be signed by: none of them is symmetric,
// or "none", so nobody can sign with what is published.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512}

func algorithmOf(key crypto.PublicKey) (jose.SignatureAlgorithm, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return jose.RS256, nil
	case *ecdsa.PublicKey:
		curves := map[int]jose.SignatureAlgorithm{256: jose.ES256, 384: jose.ES384, 521: jose.ES512}
		if algorithm, ok := curves[k.Curve.Params().BitSize]; ok {
			return algorithm, nil
		}
	}
	return "", fmt.Errorf("a key of type %T cannot sign service-account tokens: use RSA, or ECDSA on P-256, P-384 or P-521", key)
}
