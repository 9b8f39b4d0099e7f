package authn

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/internal/review"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// Reviews are the rows of authentication.k8s.io: what is asked of the server
// about users. A review is answered where it is posted, and stored nowhere.
// audiences are those of the API server.
func Reviews(tokens Verifier, audiences []string) []resource.Resource {
	gv := authenticationv1.SchemeGroupVersion
	return []resource.Resource{
		review.Row(gv, "TokenReview", false, func(ctx context.Context, _ string, r *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
			return reviewToken(ctx, tokens, audiences, r)
		}),
		review.Row(gv, "SelfSubjectReview", false, reviewSelf),
	}
}

// reviewToken tells a program that was shown a token whose it is. That the token
// is bad is an answer, and no error.
func reviewToken(ctx context.Context, tokens Verifier, own []string, r *authenticationv1.TokenReview) (*authenticationv1.TokenReview, error) {
	if r.Spec.Token == "" {
		return nil, apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	audiences := r.Spec.Audiences
	if len(audiences) == 0 {
		audiences = own
	}
	who, good, ok, err := tokens.Verify(ctx, r.Spec.Token, audiences)
	if !ok && err == nil {
		err = errInvalidToken
	}
	r.Status = authenticationv1.TokenReviewStatus{Authenticated: ok}
	if err != nil {
		r.Status.Error = err.Error()
	}
	if ok {
		r.Status.User, r.Status.Audiences = userInfo(authenticated(who)), good
	}
	return r, nil
}

// reviewSelf is `kubectl auth whoami`.
func reviewSelf(ctx context.Context, _ string, r *authenticationv1.SelfSubjectReview) (*authenticationv1.SelfSubjectReview, error) {
	who, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("no user present on request")
	}
	r.CreationTimestamp = metav1.Now()
	r.Status.UserInfo = userInfo(who)
	return r, nil
}

func userInfo(who user.Info) authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{Username: who.GetName(), UID: who.GetUID(), Groups: who.GetGroups()}
	for k, v := range who.GetExtra() {
		if info.Extra == nil {
			info.Extra = map[string]authenticationv1.ExtraValue{}
		}
		info.Extra[k] = v
	}
	return info
}
