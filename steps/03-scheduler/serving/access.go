package serving

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// masters may do everything, even when the API server can't be asked.
const masters = "system:masters"

// Access decides who may ask. Both fields may be nil: nobody is known then by a
// certificate, or by a token.
type Access struct {
	Authorities *x509.CertPool       // who signs clients' certificates
	Reviews     kubernetes.Interface // where tokens and permissions are reviewed
}

var errUnknown = errors.New("who are you? Show a client certificate of the cluster's authority, or a token")

// guard lets those through who may.
func (a Access) guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := a.authenticate(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		if err := a.authorize(r.Context(), who, r); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (a Access) authenticate(r *http.Request) (authenticationv1.UserInfo, error) {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && a.Authorities != nil {
		return a.byCertificate(r.TLS.PeerCertificates)
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || a.Reviews == nil {
		return authenticationv1.UserInfo{}, errUnknown
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	review, err := a.Reviews.AuthenticationV1().TokenReviews().Create(r.Context(), review, metav1.CreateOptions{})
	switch {
	case err != nil:
		return authenticationv1.UserInfo{}, fmt.Errorf("review a token: %w", err)
	case !review.Status.Authenticated:
		return authenticationv1.UserInfo{}, errUnknown
	}
	return review.Status.User, nil
}

// byCertificate: the common name is the user, the organizations are its groups.
func (a Access) byCertificate(chain []*x509.Certificate) (authenticationv1.UserInfo, error) {
	options := x509.VerifyOptions{Roots: a.Authorities, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(options); err != nil {
		return authenticationv1.UserInfo{}, fmt.Errorf("client certificate: %w", err)
	}
	return authenticationv1.UserInfo{Username: chain[0].Subject.CommonName, Groups: chain[0].Subject.Organization}, nil
}

func (a Access) authorize(ctx context.Context, who authenticationv1.UserInfo, r *http.Request) error {
	if slices.Contains(who.Groups, masters) {
		return nil
	}
	refused := fmt.Errorf("forbidden: User %q cannot get path %q", who.Username, r.URL.Path)
	if a.Reviews == nil {
		return refused
	}
	review, err := a.Reviews.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: who.Username, UID: who.UID, Groups: append(slices.Clone(who.Groups), "system:authenticated"),
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: r.URL.Path, Verb: "get"},
	}}, metav1.CreateOptions{})
	switch {
	case err != nil:
		return fmt.Errorf("nobody can tell what you may do: %w", err)
	case !review.Status.Allowed:
		return refused
	}
	return nil
}
