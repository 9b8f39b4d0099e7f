package apiserver

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
)

// A counter authenticates, and counts how often it was asked.
type counter struct {
	asked int
	err   error
}

func (c *counter) Authenticate(*http.Request) (user.Info, bool, error) {
	c.asked++
	return &user.DefaultInfo{Name: "jane"}, c.err == nil, c.err
}

func TestAConnectionRemembersWhoseItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{err: errors.New("a bad certificate")}
		a := remembered{c}
		on := func(connection bool) *http.Request {
			r := httptest.NewRequest("GET", "/", nil)
			if connection {
				r = r.WithContext(withConnection(r.Context(), nil))
			}
			return r
		}
		same := on(true)
		for _, step := range []struct {
			name  string
			r     *http.Request
			err   error
			sleep time.Duration
			asked int
		}{
			{"first", same, c.err, 0, 1},
			{"a refusal is not remembered", same, nil, 0, 2},
			{"but a user is", same, nil, 0, 2},
			{"of this connection", on(true), nil, 0, 3},
			{"and of no other", on(false), nil, 0, 4},
			{"for a while", same, nil, remember, 5},
		} {
			time.Sleep(step.sleep)
			c.err = step.err
			who, ok, err := a.Authenticate(step.r)
			if c.asked != step.asked || ok != (step.err == nil) || !errors.Is(err, step.err) || ok && who.GetName() != "jane" {
				t.Errorf("%s: got %v, %v, %v after %d questions, want %d", step.name, who, ok, err, c.asked, step.asked)
			}
		}
	})
}
