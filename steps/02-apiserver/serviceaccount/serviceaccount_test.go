package serviceaccount

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/internal/fakeserver"
)

const issuer = "https://kubernetes.default.svc.cluster.local"

func ecKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func tokens(t testing.TB, conf Config) *Tokens {
	t.Helper()
	if conf.Issuer == "" {
		conf.Issuer = issuer
	}
	if conf.Key == nil {
		conf.Key = ecKey(t)
	}
	made, err := New(conf)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func meta(namespace, name, uid string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(uid)}
}

// objects are a service account, a pod of it on a node, and others.
func objects() *fakeserver.Server {
	s := &fakeserver.Server{}
	s.Add(serviceAccounts, &corev1.ServiceAccount{ObjectMeta: meta("shop", "cart", "sa-1")}, &corev1.ServiceAccount{ObjectMeta: meta("shop", "till", "sa-2")})
	s.Add(pods, &corev1.Pod{ObjectMeta: meta("shop", "cart-0", "pod-1"), Spec: corev1.PodSpec{ServiceAccountName: "cart", NodeName: "node-1"}},
		&corev1.Pod{ObjectMeta: meta("shop", "cart-new", "pod-2"), Spec: corev1.PodSpec{ServiceAccountName: "cart"}},
		&corev1.Pod{ObjectMeta: meta("shop", "cart-lost", "pod-3"), Spec: corev1.PodSpec{ServiceAccountName: "cart", NodeName: "gone"}})
	s.Add(nodes, &corev1.Node{ObjectMeta: meta("", "node-1", "node-uid")})
	s.Add(secrets, &corev1.Secret{ObjectMeta: meta("shop", "safe", "secret-1")})
	return s
}

func request(seconds int64, boundTo ...string) *authenticationv1.TokenRequest {
	r := &authenticationv1.TokenRequest{}
	if seconds != 0 {
		r.Spec.ExpirationSeconds = &seconds
	}
	if len(boundTo) > 0 {
		r.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: boundTo[0], Name: boundTo[1]}
	}
	if len(boundTo) > 2 {
		r.Spec.BoundObjectRef.UID = types.UID(boundTo[2])
	}
	return r
}

func TestRequest(t *testing.T) {
	named := request(0)
	named.Name, named.Namespace = "other", "elsewhere"
	wrongUID := request(0)
	wrongUID.UID = "sa-0"
	for _, c := range []struct {
		name    string
		account string
		request *authenticationv1.TokenRequest
		want    string // the error; "" is a token
		extra   string // what the token tells besides the user
	}{
		{"plain", "cart", request(0), "", ""},
		{"bound to a pod", "cart", request(600, "Pod", "cart-0", "pod-1"), "",
			"authentication.kubernetes.io/node-name=node-1 authentication.kubernetes.io/node-uid=node-uid authentication.kubernetes.io/pod-name=cart-0 authentication.kubernetes.io/pod-uid=pod-1"},
		{"bound to a pod that is not scheduled", "cart", request(0, "Pod", "cart-new"), "",
			"authentication.kubernetes.io/pod-name=cart-new authentication.kubernetes.io/pod-uid=pod-2"},
		{"bound to a pod whose node is gone", "cart", request(0, "Pod", "cart-lost"), "",
			"authentication.kubernetes.io/node-name=gone authentication.kubernetes.io/pod-name=cart-lost authentication.kubernetes.io/pod-uid=pod-3"},
		{"bound to a secret", "cart", request(0, "Secret", "safe"), "", ""},
		{"bound to a node", "cart", request(0, "Node", "node-1"), "",
			"authentication.kubernetes.io/node-name=node-1 authentication.kubernetes.io/node-uid=node-uid"},
		{"no such account", "nobody", request(0), `serviceaccounts "nobody" not found`, ""},
		{"no such pod", "cart", request(0, "Pod", "none"), `pods "none" not found`, ""},
		{"another account's pod", "till", request(0, "Pod", "cart-0"), `cannot bind token for serviceaccount "till" to pod running with different serviceaccount name.`, ""},
		{"a pod of an earlier time", "cart", request(0, "Pod", "cart-0", "pod-0"), "the UID in the bound object reference (pod-0) does not match the UID in record", ""},
		{"bound to what cannot be", "cart", request(0, "ConfigMap", "c"), "cannot bind token to object of type /v1, Kind=ConfigMap", ""},
		{"too short", "cart", request(599), `spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes`, ""},
		{"too long", "cart", request(1<<32 + 1), "may not specify a duration larger than 2^32 seconds", ""},
		{"another name in the body", "cart", named, "metadata.name: Invalid value: \"other\": must match the service account name if specified", ""},
		{"an account of an earlier time", "cart", wrongUID, "the UID in the token request (sa-0) does not match the UID of the service account (sa-1)", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, made := objects(), tokens(t, Config{})
			r, err := made.Subresource().Create(t.Context(), all, "shop", c.account, c.request, false)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("got %v, want %q", err, c.want)
				}
				if apierrors.ReasonForError(err) == metav1.StatusReasonUnknown {
					t.Fatalf("%v is no Status error", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := r.(*authenticationv1.TokenRequest)
			who, good, ok, err := Verifier{made, all}.Verify(t.Context(), got.Status.Token, nil)
			if err != nil || !ok {
				t.Fatalf("the token is not good: %v", err)
			}
			if who.GetName() != "system:serviceaccount:shop:cart" || who.GetUID() != "sa-1" ||
				!slices.Equal(who.GetGroups(), []string{"system:serviceaccounts", "system:serviceaccounts:shop"}) || !slices.Equal(good, []string{issuer}) {
				t.Errorf("got %v for %q", who, good)
			}
			var extra []string
			for k, v := range who.GetExtra() {
				if k != "authentication.kubernetes.io/credential-id" {
					extra = append(extra, k+"="+strings.Join(v, ","))
				}
			}
			slices.Sort(extra)
			if got := strings.Join(extra, " "); got != c.extra {
				t.Errorf("extra: got %s, want %s", got, c.extra)
			}
		})
	}
}

func TestDryRunGivesNoToken(t *testing.T) {
	got, err := tokens(t, Config{}).Subresource().Create(t.Context(), objects(), "shop", "cart", request(0), true)
	if err != nil || got.(*authenticationv1.TokenRequest).Status.Token != "" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestLifeIsLimited(t *testing.T) {
	got, err := tokens(t, Config{MaxLife: time.Hour}).Subresource().Create(t.Context(), objects(), "shop", "cart", request(7200), false)
	if err != nil || *got.(*authenticationv1.TokenRequest).Spec.ExpirationSeconds != 3600 {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestTheLifeOfAToken is what no signature tells: time, and objects that go.
func TestTheLifeOfAToken(t *testing.T) {
	deleted := func(o metav1.ObjectMeta) metav1.ObjectMeta {
		at := metav1.NewTime(time.Now())
		o.DeletionTimestamp = &at
		return o
	}
	for _, c := range []struct {
		name   string
		to     []string
		happen func(*fakeserver.Server)
		later  time.Duration
		want   string
	}{
		{"nothing happens", []string{"Pod", "cart-0"}, nil, 0, ""},
		{"almost at its end", []string{"Pod", "cart-0"}, nil, 10 * time.Minute, ""},
		{"at its end", []string{"Pod", "cart-0"}, nil, 12 * time.Minute, "service account token has expired"},
		{"before it begins", nil, nil, -2 * time.Minute, "service account token is not valid yet"},
		{"the account goes", nil, func(s *fakeserver.Server) { s.Remove(serviceAccounts, "shop", "cart") }, 0, `has been invalidated: serviceaccounts "cart" not found`},
		{"the account is another now", nil, func(s *fakeserver.Server) {
			s.Add(serviceAccounts, &corev1.ServiceAccount{ObjectMeta: meta("shop", "cart", "sa-9")})
		}, 0, "service account UID (sa-9) does not match claim (sa-1)"},
		{"the pod goes", []string{"Pod", "cart-0"}, func(s *fakeserver.Server) { s.Remove(pods, "shop", "cart-0") }, 0, `has been invalidated: pods "cart-0" not found`},
		{"the pod is another now", []string{"Pod", "cart-0"}, func(s *fakeserver.Server) {
			s.Add(pods, &corev1.Pod{ObjectMeta: meta("shop", "cart-0", "pod-9")})
		}, 0, "pod UID (pod-9) does not match claim (pod-1)"},
		{"the pod is being deleted", []string{"Pod", "cart-0"}, func(s *fakeserver.Server) {
			s.Add(pods, &corev1.Pod{ObjectMeta: deleted(meta("shop", "cart-0", "pod-1"))})
		}, 0, ""},
		{"the pod should have been deleted", []string{"Pod", "cart-0"}, func(s *fakeserver.Server) {
			s.Add(pods, &corev1.Pod{ObjectMeta: deleted(meta("shop", "cart-0", "pod-1"))})
		}, 2 * time.Minute, "pod cart-0 is being deleted"},
		{"the pod's node goes", []string{"Pod", "cart-0"}, func(s *fakeserver.Server) { s.Remove(nodes, "", "node-1") }, 0, ""},
		{"the node goes", []string{"Node", "node-1"}, func(s *fakeserver.Server) { s.Remove(nodes, "", "node-1") }, 0, `nodes "node-1" not found`},
		{"the secret goes", []string{"Secret", "safe"}, func(s *fakeserver.Server) { s.Remove(secrets, "shop", "safe") }, 0, `secrets "safe" not found`},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := ecKey(t)
			synctest.Test(t, func(t *testing.T) {
				all, made := objects(), tokens(t, Config{Key: key})
				if c.later < 0 { // made in the future
					time.Sleep(-c.later)
				}
				r, err := made.request(t.Context(), all, "shop", "cart", request(600, c.to...), false)
				if err != nil {
					t.Fatal(err)
				}
				if c.happen != nil {
					c.happen(all)
				}
				if c.later > 0 {
					time.Sleep(c.later)
				}
				if c.later < 0 {
					parsed, err := jwt.ParseSigned(r.Status.Token, algorithms)
					if err != nil {
						t.Fatal(err)
					}
					public, _, err := made.claims(parsed)
					if err == nil {
						err = inTime(public, time.Now().Add(c.later))
					}
					if err == nil || err.Error() != c.want {
						t.Errorf("got %v, want %q", err, c.want)
					}
					return
				}
				_, _, ok, err := Verifier{made, all}.Verify(t.Context(), r.Status.Token, nil)
				if c.want == "" && (err != nil || !ok) {
					t.Errorf("got %v, want a good token", err)
				}
				if c.want != "" && (ok || err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("got %v, %v, want %q", ok, err, c.want)
				}
			})
		})
	}
}

// While the store does not answer nobody knows whether a token is good. That is no reason to
// tell its owner that it is not, who would give up or ask for another.
func TestATokenIsNotBadBecauseTheStoreIsAway(t *testing.T) {
	made := tokens(t, Config{})
	r, err := made.request(t.Context(), objects(), "shop", "cart", request(600), false)
	if err != nil {
		t.Fatal(err)
	}
	away := &fakeserver.Server{Err: apierrors.NewServerTimeout(serviceAccounts, "get", 2)}
	if _, _, ok, err := (Verifier{made, away}).Verify(t.Context(), r.Status.Token, nil); ok || !apierrors.IsServerTimeout(err) {
		t.Errorf("got %v, %v, want the error of the store", ok, err)
	}
}

func TestForgeries(t *testing.T) {
	key := ecKey(t)
	made, all := tokens(t, Config{Key: key}), objects()
	good, err := made.request(t.Context(), all, "shop", "cart", request(0), false)
	if err != nil {
		t.Fatal(err)
	}
	part := strings.Split(good.Status.Token, ".")
	change := func(i int, f func(map[string]any)) string {
		raw, err := base64.RawURLEncoding.DecodeString(part[i])
		if err != nil {
			t.Fatal(err)
		}
		var v map[string]any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		f(v)
		raw, err = json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		changed := slices.Clone(part)
		changed[i] = base64.RawURLEncoding.EncodeToString(raw)
		return strings.Join(changed, ".")
	}
	stranger, err := tokens(t, Config{}).request(t.Context(), all, "shop", "cart", request(0), false)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := tokens(t, Config{Issuer: "https://elsewhere", Key: key}).request(t.Context(), all, "shop", "cart", request(0), false)
	if err != nil {
		t.Fatal(err)
	}
	forEver, err := jwt.Signed(made.signer).Claims(jwt.Claims{Issuer: issuer, Audience: []string{issuer}}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	symmetric, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte("the public key, as some libraries took it for a password")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	confused, err := jwt.Signed(symmetric).Claims(jwt.Claims{Issuer: issuer}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, token, want string }{
		{"another subject", change(1, func(v map[string]any) {
			v["kubernetes.io"] = map[string]any{"namespace": "kube-system", "serviceaccount": map[string]any{"name": "root"}}
		}), "invalid signature"},
		{"no algorithm", change(0, func(v map[string]any) { v["alg"] = "none" }), ""},
		{"a symmetric algorithm", confused, ""},
		{"another algorithm of the same key", change(0, func(v map[string]any) { v["alg"] = "ES512" }), "invalid signature"},
		{"an unknown key", change(0, func(v map[string]any) { v["kid"] = "unknown" }), "no longer trusted"},
		{"no key named", change(0, func(v map[string]any) { delete(v, "kid") }), "invalid signature"},
		{"another cluster's", stranger.Status.Token, "no longer trusted"},
		{"another issuer's", elsewhere.Status.Token, ""},
		{"for ever", forEver, "has no expiry"},
		{"no signature", part[0] + "." + part[1] + ".", "invalid signature"},
		{"no token", "", ""},
		{"no JSON", "e30.e30.e30", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, ok, err := Verifier{made, all}.Verify(t.Context(), c.token, nil)
			if ok {
				t.Fatal("it was taken for good")
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAudiences(t *testing.T) {
	made, all := tokens(t, Config{Audiences: []string{"api", issuer}}), objects()
	for _, c := range []struct {
		name             string
		of, asked, wants []string
	}{
		{"the server's own", nil, nil, []string{"api", issuer}},
		{"one of the server's", []string{"api"}, nil, []string{"api"}},
		{"a vault's, shown to the server", []string{"vault"}, nil, nil},
		{"a vault's, shown to it", []string{"vault", "api"}, []string{"vault", "other"}, []string{"vault"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(0)
			r.Spec.Audiences = c.of
			r, err := made.request(t.Context(), all, "shop", "cart", r, false)
			if err != nil {
				t.Fatal(err)
			}
			_, got, ok, err := Verifier{made, all}.Verify(t.Context(), r.Status.Token, c.asked)
			if !slices.Equal(got, c.wants) || ok != (c.wants != nil) || ok == (err != nil) {
				t.Errorf("got %q, %v, %v, want %q", got, ok, err, c.wants)
			}
		})
	}
}

func TestAnAudienceIsAListEvenOfOne(t *testing.T) {
	made, all := tokens(t, Config{Audiences: []string{issuer}}), objects()
	r, err := made.request(t.Context(), all, "shop", "cart", request(0), false)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(r.Status.Token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if want := `"aud":["` + issuer + `"]`; !strings.Contains(string(claims), want) {
		t.Errorf("got %s, want %s", claims, want)
	}
}

func TestKeysAreRotated(t *testing.T) {
	all := objects()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	old := tokens(t, Config{Key: rsaKey})
	r, err := old.request(t.Context(), all, "shop", "cart", request(0), false)
	if err != nil {
		t.Fatal(err)
	}
	now := tokens(t, Config{PublicKeys: []crypto.PublicKey{rsaKey.Public()}})
	if _, _, ok, err := (Verifier{now, all}).Verify(context.Background(), r.Status.Token, nil); !ok {
		t.Errorf("a token of the old key: %v", err)
	}
	if len(now.keys.Keys) != 2 || now.keys.Keys[0].Algorithm != "ES256" || now.keys.Keys[1].Algorithm != "RS256" {
		t.Errorf("got the keys %v", now.keys.Keys)
	}
}

// TestDiscovery verifies a token as a stranger does: with what is published.
func TestDiscovery(t *testing.T) {
	made := tokens(t, Config{})
	r, err := made.request(t.Context(), objects(), "shop", "cart", request(0), false)
	if err != nil {
		t.Fatal(err)
	}
	handlers, err := made.Discovery("", "10.0.0.1:6443")
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) (body []byte, mediaType string) {
		w := httptest.NewRecorder()
		handlers[path].ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Body.Bytes(), w.Header().Get("Content-Type")
	}
	config, mediaType := get(ConfigurationPath)
	if want := `{"issuer":"` + issuer + `","jwks_uri":"https://10.0.0.1:6443/openid/v1/jwks","response_types_supported":["id_token"],"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256"]}`; string(config) != want || mediaType != "application/json" {
		t.Errorf("got %s, %s\nwant %s", mediaType, config, want)
	}
	body, mediaType := get(KeysPath)
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(body, &keys); err != nil || len(keys.Keys) != 1 || !keys.Keys[0].IsPublic() || mediaType != "application/jwk-set+json" {
		t.Fatalf("got %s, %s, %v", mediaType, body, err)
	}
	parsed, err := jwt.ParseSigned(r.Status.Token, algorithms)
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.Claims
	if err := parsed.Claims(keys, &claims); err != nil || claims.Subject != "system:serviceaccount:shop:cart" {
		t.Errorf("got %+v, %v", claims, err)
	}
	w := httptest.NewRecorder()
	handlers[KeysPath].ServeHTTP(w, httptest.NewRequest("POST", KeysPath, nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: got %d", w.Code)
	}
}

func FuzzVerify(f *testing.F) {
	made, all := tokens(f, Config{}), objects()
	good, err := made.request(context.Background(), all, "shop", "cart", request(0), false)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Status.Token)
	f.Add("a.b.c")
	f.Add("")
	v := Verifier{made, all}
	signed := good.Status.Token[:strings.LastIndex(good.Status.Token, ".")]
	f.Fuzz(func(t *testing.T, token string) {
		// ECDSA signatures can be changed into others that are good, and padding
		// bits of base64 are free: what is signed cannot be.
		if _, _, ok, _ := v.Verify(t.Context(), token, nil); ok && !strings.HasPrefix(token, signed+".") {
			t.Errorf("%q is taken for good", token)
		}
	})
}
