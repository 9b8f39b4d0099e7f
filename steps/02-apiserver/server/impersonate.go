package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// The headers of impersonation, `kubectl --as`. See
// https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation.
const (
	asUser  = "Impersonate-User"
	asUID   = "Impersonate-Uid"
	asGroup = "Impersonate-Group"
	asExtra = "Impersonate-Extra-"
)

// impersonated lets a user act as another, if he may impersonate everything that
// the other is. From here on the other is who makes the request.
func (s *Server) impersonated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		other, asked, err := wanted(r.Header)
		if err == nil && asked != nil {
			err = s.mayBe(r, asked)
		}
		if err != nil {
			WriteError(w, r, err)
			return
		}
		if asked == nil {
			next.ServeHTTP(w, r)
			return
		}
		for name := range r.Header { // it has been answered, and is nobody else's to see
			if strings.HasPrefix(name, "Impersonate-") {
				r.Header.Del(name)
			}
		}
		next.ServeHTTP(w, r.WithContext(apirequest.WithUser(r.Context(), other)))
	})
}

// wanted reads who somebody wants to be, and what he must be allowed for that:
// nothing if he is content.
func wanted(h http.Header) (*user.DefaultInfo, []authorizer.AttributesRecord, error) {
	name := h.Get(asUser)
	extra := map[string][]string{}
	for header, values := range h {
		if key, ok := strings.CutPrefix(header, asExtra); ok {
			key, err := url.PathUnescape(strings.ToLower(key))
			if err != nil {
				return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("header %s: %v", header, err))
			}
			extra[key] = values
		}
	}
	groups := h.Values(asGroup)
	if name == "" {
		if len(groups) > 0 || len(extra) > 0 || h.Get(asUID) != "" {
			return nil, nil, apierrors.NewBadRequest("requested impersonation without impersonating a user")
		}
		return nil, nil, nil
	}
	who := &user.DefaultInfo{Name: name, UID: h.Get(asUID), Groups: slices.Clone(groups), Extra: extra}
	asked := []authorizer.AttributesRecord{{Resource: "users", Name: name}}
	if namespace, account, err := serviceaccount.SplitUsername(name); err == nil {
		asked[0] = authorizer.AttributesRecord{Resource: "serviceaccounts", Namespace: namespace, Name: account}
		if len(groups) == 0 {
			who.Groups = serviceaccount.MakeGroupNames(namespace)
		}
	}
	for _, g := range groups {
		asked = append(asked, authorizer.AttributesRecord{Resource: "groups", Name: g})
	}
	if who.UID != "" {
		asked = append(asked, authorizer.AttributesRecord{APIGroup: "authentication.k8s.io", APIVersion: "v1", Resource: "uids", Name: who.UID})
	}
	for key, values := range extra {
		for _, v := range values {
			asked = append(asked, authorizer.AttributesRecord{APIGroup: "authentication.k8s.io", APIVersion: "v1", Resource: "userextras", Subresource: key, Name: v})
		}
	}
	if everybody := user.AllAuthenticated; name != user.Anonymous && !slices.Contains(who.Groups, everybody) {
		who.Groups = append(who.Groups, everybody)
	}
	return who, asked, nil
}

func (s *Server) mayBe(r *http.Request, asked []authorizer.AttributesRecord) error {
	who, _ := apirequest.UserFrom(r.Context())
	for _, a := range asked {
		a.User, a.Verb, a.ResourceRequest = who, "impersonate", true
		decision, reason, err := s.conf.Authorizer.Authorize(r.Context(), a)
		if decision == authorizer.DecisionAllow {
			continue
		}
		if err != nil {
			s.conf.Log.Warn("an impersonation could not be authorized", "user", who.GetName(), "error", err)
		}
		return apierrors.NewForbidden(schema.GroupResource{Group: a.APIGroup, Resource: a.Resource}, a.Name, fmt.Errorf("%s", forbidden(a, reason)))
	}
	return nil
}
