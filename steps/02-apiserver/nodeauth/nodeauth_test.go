package nodeauth

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/server"
)

func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		asked, away := 0, false
		client.PrependReactor("create", "tokenreviews", func(a kubetesting.Action) (bool, runtime.Object, error) {
			if asked++; away {
				return true, nil, errors.New("connection refused")
			}
			r, _ := a.(kubetesting.CreateAction).GetObject().(*authenticationv1.TokenReview)
			r.Status.Authenticated = r.Spec.Token == "good"
			r.Status.User = authenticationv1.UserInfo{Username: "prometheus", Groups: []string{"monitoring"}}
			return true, r, nil
		})
		tokens := &Tokens{Reviews: client.AuthenticationV1(), TTL: 2 * time.Minute}
		for _, step := range []struct {
			name, token string
			after       time.Duration
			away        bool
			user        string
			asked       int
		}{
			{"known", "good", 0, false, "prometheus", 1},
			{"remembered", "good", time.Minute, true, "prometheus", 1},
			{"too old", "good", time.Minute, true, "", 2},
			{"nobody's", "bad", 0, false, "", 3},
			{"still nobody's", "bad", 0, false, "", 4},
		} {
			time.Sleep(step.after)
			away = step.away
			u, err := tokens.Authenticate(t.Context(), step.token)
			if u.Name != step.user || (err == nil) != (step.user != "") || asked != step.asked {
				t.Errorf("%s: got %+v, %v, asked %d times; want user %q, asked %d times", step.name, u, err, asked, step.user, step.asked)
			}
		}
	})
}

func TestAccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		asked, away := 0, false
		client.PrependReactor("create", "subjectaccessreviews", func(a kubetesting.Action) (bool, runtime.Object, error) {
			if asked++; away {
				return true, nil, errors.New("connection refused")
			}
			r, _ := a.(kubetesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview)
			if got := r.Spec.ResourceAttributes; got.Resource != "nodes" || got.Name != "node-1" || got.Version != "v1" {
				t.Errorf("got %+v", got)
			}
			r.Status.Allowed = r.Spec.ResourceAttributes.Subresource == "metrics"
			return true, r, nil
		})
		access := &Access{Reviews: client.AuthorizationV1(), NodeName: "node-1", Allowed: 5 * time.Minute, Denied: 30 * time.Second, Log: slog.New(slog.DiscardHandler)}
		u := server.User{Name: "prometheus", Groups: []string{"b", "a"}}
		for _, step := range []struct {
			name, subresource string
			after             time.Duration
			away, want        bool
			asked             int
		}{
			{"allowed", "metrics", 0, false, true, 1},
			{"denied", "proxy", 0, false, false, 2},
			{"both remembered", "metrics", 10 * time.Second, true, true, 2},
			{"a denial not for long", "proxy", 30 * time.Second, false, false, 3},
			{"an outage denies", "pods", 0, true, false, 4},
			{"and is not remembered", "pods", 0, true, false, 5},
		} {
			time.Sleep(step.after)
			away = step.away
			if got, _ := access.Authorize(t.Context(), u, "get", step.subresource); got != step.want || asked != step.asked {
				t.Errorf("%s: got %t, asked %d times; want %t, %d", step.name, got, asked, step.want, step.asked)
			}
		}
	})
}
