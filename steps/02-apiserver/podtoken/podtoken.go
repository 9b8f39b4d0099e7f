// Package podtoken gets the service account tokens of pods.
//
// A token is made for one pod and one audience, and ends after an hour or so, or
// with the pod. The kubelet asks the API server for it (TokenRequest) and writes it
// into the pod's volume, and asks for the next one when four fifths of its life
// have passed: whoever reads the file again from time to time never sees one that
// has ended.
//
// Upstream: pkg/kubelet/token/token_manager.go.
package podtoken

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// Tokens keeps the tokens that pods have now. Its exported fields are set before
// use; it may be used concurrently.
type Tokens struct {
	Client typedcorev1.ServiceAccountsGetter
	Now    func() time.Time // nil means time.Now
	Log    *slog.Logger

	mu    sync.Mutex // guards known
	known map[key]token
}

// A key is what a token is for.
type key struct {
	pod      types.UID
	account  string
	audience string
	seconds  int64
}

type token struct {
	text    string
	renew   time.Time // from then on there should be another one
	expires time.Time
}

// maxAge is when a token is replaced at the latest, however long it lives.
const maxAge = 24 * time.Hour

// Get returns the token that the pod should have now. While no new one can be had,
// that is the old one, as long as it is valid.
func (t *Tokens) Get(ctx context.Context, pod *corev1.Pod, audience string, seconds *int64) (string, error) {
	now := t.now()
	k := key{pod: pod.UID, account: pod.Namespace + "/" + pod.Spec.ServiceAccountName, audience: audience}
	if seconds != nil {
		k.seconds = *seconds
	}
	have, ok := t.lookup(k, now)
	if ok && now.Before(have.renew) {
		return have.text, nil
	}
	fresh, err := t.request(ctx, pod, audience, seconds)
	switch {
	case err == nil:
		t.keep(k, fresh)
		return fresh.text, nil
	case ok:
		t.Log.Warn("service account token not renewed, the old one is used", "pod", pod.Namespace+"/"+pod.Name, "expires", have.expires, "err", err)
		return have.text, nil
	}
	return "", fmt.Errorf("failed to fetch token: %w", err) // upstream's words
}

func (t *Tokens) now() time.Time {
	if t.Now != nil {
		return t.Now()
	}
	return time.Now()
}

// lookup returns a token that is valid, and forgets those that are not.
func (t *Tokens) lookup(k key, now time.Time) (token, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for old, have := range t.known {
		if !now.Before(have.expires) {
			delete(t.known, old)
		}
	}
	have, ok := t.known[k]
	return have, ok
}

func (t *Tokens) keep(k key, fresh token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known = map[key]token{}
	}
	t.known[k] = fresh
}

func (t *Tokens) request(ctx context.Context, pod *corev1.Pod, audience string, seconds *int64) (token, error) {
	r := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: seconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if audience != "" {
		r.Spec.Audiences = []string{audience}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := t.Client.ServiceAccounts(pod.Namespace).CreateToken(ctx, pod.Spec.ServiceAccountName, r, metav1.CreateOptions{})
	if err != nil {
		return token{}, err
	}
	life := time.Hour
	if s := r.Spec.ExpirationSeconds; s != nil {
		life = time.Duration(*s) * time.Second
	}
	expires := r.Status.ExpirationTimestamp.Time
	return token{text: r.Status.Token, expires: expires, renew: renewal(expires, life)}, nil
}

// renewal is when a token with that life, which ends then, should be replaced.
func renewal(expires time.Time, life time.Duration) time.Time {
	return expires.Add(-life).Add(min(maxAge, life*4/5))
}
