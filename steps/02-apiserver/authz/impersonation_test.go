package authz

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
)

type is1 struct{ user.Info }

func (i is1) Authenticate(*http.Request) (user.Info, bool, error) { return i.Info, i.Info != nil, nil }

func TestImpersonation(t *testing.T) {
	helpdesk := known("helpdesk")
	rules := Grants{{Users: []string{"helpdesk"}, Rules: []rbacv1.PolicyRule{
		{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"users"}},
		{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"groups"}, ResourceNames: []string{"customers"}},
	}}}
	union := Union{Everything{user.SystemPrivilegedGroup}, rules}
	for _, c := range []struct {
		name    string
		who     user.Info
		headers http.Header
		want    string // name, groups, UID, extra
		err     string
	}{
		{"nobody else", admin, http.Header{}, "kubernetes-admin [system:masters system:authenticated]  map[]", ""},
		{"a user", admin, http.Header{"Impersonate-User": {"alice"}}, "alice [system:authenticated]  map[]", ""},
		{"all of a user", admin, http.Header{"Impersonate-User": {"alice"}, "Impersonate-Group": {"a", "b"}, "Impersonate-Uid": {"1"}, "Impersonate-Extra-Acme.com%2fproject": {"x"}},
			"alice [a b system:authenticated] 1 map[acme.com/project:[x]]", ""},
		{"a service account", admin, http.Header{"Impersonate-User": {"system:serviceaccount:shop:cart"}},
			"system:serviceaccount:shop:cart [system:serviceaccounts system:serviceaccounts:shop system:authenticated]  map[]", ""},
		{"nobody", admin, http.Header{"Impersonate-User": {"system:anonymous"}}, "system:anonymous [system:unauthenticated]  map[]", ""},
		{"a group alone", admin, http.Header{"Impersonate-Group": {"a"}}, "", "requested groups without impersonating a user"},
		{"a user, who is allowed", helpdesk, http.Header{"Impersonate-User": {"alice"}, "Impersonate-Group": {"customers"}}, "alice [customers system:authenticated]  map[]", ""},
		{"a group that is not", helpdesk, http.Header{"Impersonate-User": {"alice"}, "Impersonate-Group": {"system:masters"}}, "",
			`groups "system:masters" is forbidden: User "helpdesk" cannot impersonate resource "groups" in API group "" at the cluster scope`},
		{"a service account that is not", helpdesk, http.Header{"Impersonate-User": {"system:serviceaccount:kube-system:root"}}, "",
			`serviceaccounts "root" is forbidden: User "helpdesk" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "kube-system"`},
		{"a user of no rights", alice, http.Header{"Impersonate-User": {"kubernetes-admin"}}, "", `cannot impersonate resource "users"`},
		{"an unknown one", nil, http.Header{"Impersonate-User": {"alice"}}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/api", nil)
			r.Header = c.headers
			who, ok, err := Impersonation{is1{c.who}, union}.Authenticate(r)
			if c.err == "" && err != nil || c.err != "" && (ok || err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("got %v, %v, want %q", ok, err, c.err)
			}
			if err != nil && apierrors.ReasonForError(err) == metav1.StatusReasonUnknown {
				t.Errorf("%v is no Status error", err)
			}
			got := ""
			if ok {
				got = strings.Join([]string{who.GetName(), "[" + strings.Join(who.GetGroups(), " ") + "]", who.GetUID(), extraText(who)}, " ")
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if ok && len(r.Header) > 0 {
				t.Errorf("the handler sees %v", r.Header)
			}
		})
	}
}

func extraText(who user.Info) string {
	text := []string{}
	for k, v := range who.GetExtra() {
		text = append(text, k+":["+strings.Join(v, " ")+"]")
	}
	return "map[" + strings.Join(text, " ") + "]"
}
