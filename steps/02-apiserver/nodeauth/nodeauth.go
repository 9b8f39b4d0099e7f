// Package nodeauth lets the API server decide who may use the kubelet's own API.
//
// A client that shows a token instead of a certificate is known by a TokenReview;
// what a client may do is decided by a SubjectAccessReview about the resource
// "nodes" and one of its subresources. Both answers are remembered for a while: the
// kubelet asks for each client and not for each request, and goes on when the API
// server is away for a moment.
//
// Upstream: cmd/kubelet/app/auth.go and pkg/kubelet/server/auth.go.
package nodeauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedauthenticationv1 "k8s.io/client-go/kubernetes/typed/authentication/v1"
	typedauthorizationv1 "k8s.io/client-go/kubernetes/typed/authorization/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/server"
)

// timeout bounds one question to the API server.
const timeout = 10 * time.Second

// Tokens asks whose tokens they are. Its exported fields are set before use.
type Tokens struct {
	Reviews typedauthenticationv1.TokenReviewsGetter
	TTL     time.Duration // authentication.webhook.cacheTTL

	known memory[[sha256.Size]byte, server.User]
}

var _ server.Tokens = (*Tokens)(nil)

// Authenticate implements [server.Tokens].
func (t *Tokens) Authenticate(ctx context.Context, token string) (server.User, error) {
	key := sha256.Sum256([]byte(token)) // so that no token stays in memory
	if user, ok := t.known.get(key, time.Now()); ok {
		return user, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	review, err := t.Reviews.TokenReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return server.User{}, fmt.Errorf("review a token: %w", err)
	}
	if !review.Status.Authenticated {
		return server.User{}, fmt.Errorf("the token is nobody's: %w", errors.New(review.Status.Error))
	}
	user := server.User{Name: review.Status.User.Username, Groups: review.Status.User.Groups}
	t.known.put(key, user, time.Now().Add(t.TTL))
	return user, nil
}

// Access asks what a user may do. Its exported fields are set before use.
type Access struct {
	Reviews  typedauthorizationv1.SubjectAccessReviewsGetter
	NodeName string
	Allowed  time.Duration // authorization.webhook.cacheAuthorizedTTL
	Denied   time.Duration // authorization.webhook.cacheUnauthorizedTTL
	Log      *slog.Logger

	known memory[string, verdict]
}

type verdict struct {
	allowed bool
	reason  string
}

var _ server.Authorizer = (*Access)(nil)

// Authorize implements [server.Authorizer]. When nobody can be asked, nothing is
// allowed.
func (a *Access) Authorize(ctx context.Context, u server.User, verb, subresource string) (bool, string) {
	key := fmt.Sprintf("%q %q %s %s", u.Name, slices.Sorted(slices.Values(u.Groups)), verb, subresource)
	if v, ok := a.known.get(key, time.Now()); ok {
		return v.allowed, v.reason
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	review, err := a.Reviews.SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: u.Name, Groups: u.Groups,
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Version: "v1", Resource: "nodes", Subresource: subresource, Name: a.NodeName},
	}}, metav1.CreateOptions{})
	if err != nil {
		a.Log.Warn("nobody can tell what a client may do", "user", u.Name, "err", err)
		return false, err.Error()
	}
	v := verdict{review.Status.Allowed, review.Status.Reason}
	ttl := a.Denied
	if v.allowed {
		ttl = a.Allowed
	}
	a.known.put(key, v, time.Now().Add(ttl))
	return v.allowed, v.reason
}

// A memory keeps answers until they are too old.
type memory[K comparable, V any] struct {
	mu   sync.Mutex // guards kept
	kept map[K]answer[V]
}

type answer[V any] struct {
	value V
	until time.Time
}

func (m *memory[K, V]) get(key K, now time.Time) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.kept[key]
	return a.value, ok && now.Before(a.until)
}

// put keeps an answer, and drops those that are too old: nobody may ask for them again.
func (m *memory[K, V]) put(key K, value V, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept = map[K]answer[V]{}
	}
	for k, a := range m.kept {
		if !time.Now().Before(a.until) {
			delete(m.kept, k)
		}
	}
	m.kept[key] = answer[V]{value, until}
}
