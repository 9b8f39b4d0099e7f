package serviceaccount

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// The claims of Kubernetes in a token, beside those of RFC 7519.
type (
	private struct {
		Kubernetes bound `json:"kubernetes.io,omitzero"`
	}
	bound struct {
		Namespace      string `json:"namespace,omitempty"`
		ServiceAccount ref    `json:"serviceaccount,omitzero"`
		Pod            *ref   `json:"pod,omitempty"`
		Secret         *ref   `json:"secret,omitempty"`
		Node           *ref   `json:"node,omitempty"`
	}
	// An audience is a list even of one, as upstream writes it; jwt.Claims would
	// write a string (RFC 7519, section 4.1.3, allows both).
	audience struct {
		Audience []string `json:"aud,omitempty"`
	}
	// A ref is one object of a name: a later one of the same name has another UID.
	ref struct {
		Name string `json:"name,omitempty"`
		UID  string `json:"uid,omitempty"`
	}
)

// leeway is by how much clocks may differ, and how long after the wish to delete
// it an object still vouches for its token.
const leeway = jwt.DefaultLeeway

var (
	serviceAccounts = schema.GroupResource{Resource: "serviceaccounts"}
	pods            = schema.GroupResource{Resource: "pods"}
	secrets         = schema.GroupResource{Resource: "secrets"}
	nodes           = schema.GroupResource{Resource: "nodes"}
)

// sign makes a token that lives from now.
func (t *Tokens) sign(b bound, audiences []string, now time.Time, life time.Duration) (string, error) {
	return jwt.Signed(t.signer).Claims(jwt.Claims{
		Issuer:    t.conf.Issuer,
		Subject:   serviceaccount.MakeUsername(b.Namespace, b.ServiceAccount.Name),
		ID:        uuid.NewString(),
		IssuedAt:  jwt.NewNumericDate(now),
		NotBefore: jwt.NewNumericDate(now),
		Expiry:    jwt.NewNumericDate(now.Add(life)),
	}).Claims(private{b}).Claims(audience{audiences}).Serialize()
}

// A Verifier judges tokens by their signature and by the objects that there are.
type Verifier struct {
	*Tokens
	Objects Getter
}

// Verify returns who shows the token and for which of the audiences, or of the
// API server's own if none are given, it is good. A token that is not of this
// issuer is nobody's: ok is false and there is no error.
func (v Verifier) Verify(ctx context.Context, token string, audiences []string) (who user.Info, good []string, ok bool, err error) {
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		return nil, nil, false, nil
	}
	var unverified jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&unverified); err != nil || unverified.Issuer != v.conf.Issuer {
		return nil, nil, false, nil
	}
	public, private, err := v.claims(parsed)
	if err != nil {
		return nil, nil, false, err
	}
	if len(audiences) == 0 {
		audiences = v.conf.Audiences
	}
	for _, a := range audiences {
		if slices.Contains(public.Audience, a) {
			good = append(good, a)
		}
	}
	if len(good) == 0 {
		return nil, nil, false, fmt.Errorf("token audiences %q is invalid for the target audiences %q", []string(public.Audience), audiences)
	}
	now := time.Now()
	if err := inTime(public, now); err != nil {
		return nil, nil, false, err
	}
	if err := v.alive(ctx, private.Kubernetes, now); err != nil {
		return nil, nil, false, err
	}
	return info(public.ID, private.Kubernetes).UserInfo(), good, true, nil
}

// claims verifies the signature with the key that the token names, or if it
// names none, with any.
func (t *Tokens) claims(token *jwt.JSONWebToken) (public jwt.Claims, own private, err error) {
	keys := t.keys.Keys
	if len(token.Headers) == 1 && token.Headers[0].KeyID != "" {
		keys = t.keys.Key(token.Headers[0].KeyID)
	}
	for _, key := range keys {
		if !slices.ContainsFunc(token.Headers, func(h jose.Header) bool { return h.Algorithm == key.Algorithm }) {
			continue
		}
		public, own = jwt.Claims{}, private{}
		if err := token.Claims(key.Key, &public, &own); err == nil {
			return public, own, nil
		}
	}
	return public, own, errors.New("invalid signature, or the key that signed this token is no longer trusted")
}

// inTime words errors as upstream does. A token without an end is not one of ours.
func inTime(c jwt.Claims, now time.Time) error {
	err := c.ValidateWithLeeway(jwt.Expected{Time: now}, leeway)
	switch {
	case c.Expiry == nil:
		return errors.New("service account token has no expiry")
	case errors.Is(err, jwt.ErrExpired):
		return errors.New("service account token has expired")
	case errors.Is(err, jwt.ErrNotValidYet):
		return errors.New("service account token is not valid yet")
	case errors.Is(err, jwt.ErrIssuedInTheFuture):
		return errors.New("service account token is issued in the future")
	}
	return err
}

// alive says why an object that the token depends on is no more. Of a pod's
// token, the node is a remark: it may go before the pod does.
func (v Verifier) alive(ctx context.Context, b bound, now time.Time) error {
	if err := v.exists(ctx, serviceAccounts, "service account", b.Namespace, &b.ServiceAccount, now); err != nil {
		return err
	}
	switch {
	case b.Pod != nil:
		return v.exists(ctx, pods, "pod", b.Namespace, b.Pod, now)
	case b.Secret != nil:
		return v.exists(ctx, secrets, "secret", b.Namespace, b.Secret, now)
	case b.Node != nil:
		return v.exists(ctx, nodes, "node", "", b.Node, now)
	}
	return nil
}

func (v Verifier) exists(ctx context.Context, gr schema.GroupResource, kind, namespace string, r *ref, now time.Time) error {
	obj, err := v.Objects.Get(ctx, gr, namespace, r.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("look for the %s of a token: %w", kind, err) // it may be good: that is what the client is told
	}
	if err != nil {
		return fmt.Errorf("service account token has been invalidated: %v", err) // that it is not found is no answer to the request
	}
	if uid := string(obj.GetUID()); uid != r.UID {
		return fmt.Errorf("%s UID (%s) does not match claim (%s)", kind, uid, r.UID)
	}
	if d := obj.GetDeletionTimestamp(); d != nil && d.Time.Before(now.Add(-leeway)) {
		return fmt.Errorf("service account token has been invalidated: %s %s is being deleted", kind, r.Name)
	}
	return nil
}

// info is what the API server, the audit log and admission get to know of a token.
func info(id string, b bound) *serviceaccount.ServiceAccountInfo {
	i := &serviceaccount.ServiceAccountInfo{Namespace: b.Namespace, Name: b.ServiceAccount.Name, UID: b.ServiceAccount.UID}
	if id != "" {
		i.CredentialID = "JTI=" + id
	}
	if b.Pod != nil {
		i.PodName, i.PodUID = b.Pod.Name, b.Pod.UID
	}
	if b.Node != nil {
		i.NodeName, i.NodeUID = b.Node.Name, b.Node.UID
	}
	return i
}

func refTo(obj resource.Object) *ref {
	return &ref{Name: obj.GetName(), UID: string(obj.GetUID())}
}
