package authz

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// An authenticator is authn.Authenticator.
type authenticator interface {
	Authenticate(r *http.Request) (user.Info, bool, error)
}

// Impersonation lets who may do so act as another: `kubectl --as`. What is asked
// for in headers is authorized one by one, as a verb on users, groups and so on;
// from there on the request is the other's. An error is a Status: who is known,
// and may not be another, is forbidden rather than unknown.
//
// Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/filters/impersonation.
type Impersonation struct {
	Known      authenticator
	Authorizer authorizer.UnconditionalAuthorizer
}

// Another is a user whom somebody else acts as.
type Another struct {
	user.Info
	By user.Info // who it really is
}

// Authenticate implements authn.Authenticator. Whom it returns is an *Another if that is
// not who the request comes from; who may not be another is told together with the error.
func (i Impersonation) Authenticate(r *http.Request) (user.Info, bool, error) {
	who, ok, err := i.Known.Authenticate(r)
	if err != nil || !ok {
		return nil, false, err
	}
	wanted, asked, err := impersonated(r.Header)
	if err != nil {
		return who, false, err
	}
	if wanted == nil {
		return who, true, nil
	}
	for _, a := range asked {
		a.User = who
		if err := i.mayBe(r.Context(), a); err != nil {
			return who, false, err
		}
	}
	drop(r.Header)
	return &Another{wanted, who}, true, nil
}

func (i Impersonation) mayBe(ctx context.Context, a authorizer.AttributesRecord) error {
	decision, reason, err := i.Authorizer.Authorize(ctx, a)
	if err == nil && decision == authorizer.DecisionAllow {
		return nil
	}
	return Forbidden(a, reason)
}

// impersonated reads the headers: who it is to be, nil if nobody else, and what
// has to be allowed for that.
func impersonated(h http.Header) (*user.DefaultInfo, []authorizer.AttributesRecord, error) {
	var asked []authorizer.AttributesRecord
	ask := func(group, resource, subresource, namespace, name string) {
		asked = append(asked, authorizer.AttributesRecord{Verb: "impersonate", ResourceRequest: true,
			APIGroup: group, APIVersion: "v1", Resource: resource, Subresource: subresource, Namespace: namespace, Name: name})
	}
	who := &user.DefaultInfo{
		Name: h.Get(authenticationv1.ImpersonateUserHeader), UID: h.Get(authenticationv1.ImpersonateUIDHeader),
		Groups: slices.Clone(h[authenticationv1.ImpersonateGroupHeader]), Extra: extra(h),
	}
	for _, group := range who.Groups {
		ask("", "groups", "", "", group)
	}
	for key, values := range who.Extra {
		for _, value := range values {
			ask(authenticationv1.GroupName, "userextras", key, "", value)
		}
	}
	if who.UID != "" {
		ask(authenticationv1.GroupName, "uids", "", "", who.UID)
	}
	switch namespace, name, err := serviceaccount.SplitUsername(who.Name); {
	case who.Name == "" && len(asked) == 0:
		return nil, nil, nil
	case who.Name == "":
		return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("requested %s without impersonating a user", asked[0].Resource))
	case err != nil:
		ask("", "users", "", "", who.Name)
	default:
		ask("", "serviceaccounts", "", namespace, name)
		if len(who.Groups) == 0 {
			who.Groups = serviceaccount.MakeGroupNames(namespace)
		}
	}
	who.Groups = whole(who.Name, who.Groups)
	return who, asked, nil
}

// whole adds the group of all who are known, or of those who are not, unless
// one of the two was asked for.
func whole(name string, groups []string) []string {
	if slices.Contains(groups, user.AllAuthenticated) || slices.Contains(groups, user.AllUnauthenticated) {
		return groups
	}
	if name == user.Anonymous {
		return append(groups, user.AllUnauthenticated)
	}
	return append(groups, user.AllAuthenticated)
}

// extra undoes the escapes by which a key fits into the name of a header.
func extra(h http.Header) map[string][]string {
	all := map[string][]string{}
	for name, values := range h {
		if key, ok := strings.CutPrefix(name, authenticationv1.ImpersonateUserExtraHeaderPrefix); ok {
			key = strings.ToLower(key)
			if plain, err := url.PathUnescape(key); err == nil {
				key = plain
			}
			all[key] = append(all[key], values...)
		}
	}
	return all
}

func drop(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "Impersonate-") {
			h.Del(name)
		}
	}
}
