// Package authn finds out who a request comes from.
//
// There are three ways to be known: a certificate of a client, signed by the
// authority of the cluster (people, nodes, components); a token of a service
// account (programs in pods); or not at all, which is enough for the few paths that
// say whether the server is well. The cluster keeps no list of users: whoever
// signs, names.
//
// An authenticator says one of three things: this is who it is; I do not know;
// or this claims to be somebody and is not. Only the second lets the next one try.
// Upstream: staging/src/k8s.io/apiserver/pkg/authentication.
package authn

import (
	"errors"
	"net/http"
	"slices"

	"k8s.io/apiserver/pkg/authentication/user"
)

// An Authenticator looks at a request. ok is false if it says nothing of a user
// that this authenticator knows. An error means that it does, and is wrong.
type Authenticator interface {
	Authenticate(r *http.Request) (who user.Info, ok bool, err error)
}

// Union asks one after the other until one knows the user, and puts who is known
// into the group of all who are. The errors of those before do not matter then.
// A request that claims nothing is Otherwise's, which may be nil.
type Union struct {
	Known     []Authenticator
	Otherwise Authenticator
}

// Authenticate implements Authenticator.
func (u Union) Authenticate(r *http.Request) (user.Info, bool, error) {
	var errs []error
	for _, a := range u.Known {
		who, ok, err := a.Authenticate(r)
		if ok {
			return authenticated(who), true, nil
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil || u.Otherwise == nil {
		return nil, false, err
	}
	return u.Otherwise.Authenticate(r)
}

func authenticated(who user.Info) user.Info {
	groups := who.GetGroups()
	if slices.Contains(groups, user.AllAuthenticated) {
		return who
	}
	return &user.DefaultInfo{
		Name: who.GetName(), UID: who.GetUID(), Extra: who.GetExtra(),
		Groups: append(slices.Clone(groups), user.AllAuthenticated),
	}
}

// Anonymous gives a name to those who come to some paths without one. Upstream's
// peer is AuthenticationConfiguration.anonymous.conditions.
type Anonymous struct{ Paths []string }

// HealthPaths are what those must reach who have no credentials: whatever
// watches over the server. Checks that have a name are below the first three.
var HealthPaths = []string{"/healthz", "/livez", "/readyz", "/version"}

// Authenticate implements Authenticator.
func (a Anonymous) Authenticate(r *http.Request) (user.Info, bool, error) {
	if !slices.ContainsFunc(a.Paths, func(p string) bool { return isBelow(r.URL.Path, p) }) {
		return nil, false, nil
	}
	return &user.DefaultInfo{Name: user.Anonymous, Groups: []string{user.AllUnauthenticated}}, true, nil
}

func isBelow(path, root string) bool {
	return path == root || len(path) > len(root) && path[:len(root)] == root && path[len(root)] == '/'
}
