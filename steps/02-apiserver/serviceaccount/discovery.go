package serviceaccount

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// The paths of OpenID Connect Discovery 1.0, section 4, and of the keys that it
// points to. Anyone who trusts the cluster can verify its tokens with these two
// documents alone: a cloud's, or a vault's, login.
const (
	ConfigurationPath = "/.well-known/openid-configuration"
	KeysPath          = "/openid/v1/jwks"
)

// A configuration is what section 3 requires of a provider that has no login of its own.
type configuration struct {
	Issuer        string   `json:"issuer"`
	KeysURI       string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
}

// Discovery returns the handlers of both paths. Keys are said to be at keysURI,
// or at their path on the address, HOST:PORT, at which others reach the server.
func (t *Tokens) Discovery(keysURI, address string) (map[string]http.Handler, error) {
	if keysURI == "" {
		keysURI = "https://" + address + KeysPath
	}
	c := configuration{Issuer: t.conf.Issuer, KeysURI: keysURI, ResponseTypes: []string{"id_token"}, SubjectTypes: []string{"public"}}
	for _, key := range t.keys.Keys {
		c.Algorithms = append(c.Algorithms, key.Algorithm)
	}
	slices.Sort(c.Algorithms)
	c.Algorithms = slices.Compact(c.Algorithms)
	config, err := document("application/json", c)
	if err != nil {
		return nil, err
	}
	keys, err := document("application/jwk-set+json", jose.JSONWebKeySet{Keys: t.keys.Keys})
	return map[string]http.Handler{ConfigurationPath: config, KeysPath: keys}, err
}

func document(mediaType string, v any) (http.Handler, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, fmt.Sprintf("%s is not allowed here", r.Method), http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Write(body)
	}), nil
}
