package audit_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/audit"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/authz"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/server"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/server/servertest"
)

// A buffer may be written and read at the same time.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// lines waits for n events: the answer is out before the line is.
func (b *buffer) lines(t *testing.T, n int) []string {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		b.mu.Lock()
		lines := strings.Split(strings.TrimSpace(b.b.String()), "\n")
		b.mu.Unlock()
		if len(lines) >= n && lines[0] != "" {
			return lines
		}
	}
	t.Fatalf("there are not %d events: %s", n, b.b.String())
	return nil
}

func TestEveryRequestForAResourceIsWrittenDown(t *testing.T) {
	var out buffer
	conf := servertest.Config()
	conf.Observers = []server.Observer{&audit.Log{Out: &out, Log: slog.New(slog.DiscardHandler), Now: time.Now}}
	_, rest := servertest.Start(t, conf)
	const path = "/api/v1/namespaces/default/configmaps"
	for _, r := range []struct{ method, path, user, body string }{
		{"POST", path, "jane", `{"metadata":{"name":"a"},"data":{"k":"very secret"}}`},
		{"GET", "/version", "jane", ""},
		{"GET", path + "/b", "jane", ""},
		{"GET", path, "nobody", ""},
		{"GET", path + "?watch=1&timeoutSeconds=1", "jane", ""},
	} {
		q, err := http.NewRequestWithContext(t.Context(), r.method, rest.Host+r.path, strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Test-User", r.user)
		q.Header.Set(audit.Header, "id-1")
		resp, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get(audit.Header); got != "id-1" {
			t.Errorf("%s %s: got the id %q, want that of the request", r.method, r.path, got)
		}
	}
	want := []struct {
		stage      auditv1.Stage
		verb, user string
		code       int32
	}{
		{auditv1.StageResponseComplete, "create", "jane", 201},
		{auditv1.StageResponseComplete, "get", "jane", 404},
		{auditv1.StageResponseComplete, "list", "nobody", 403},
		{auditv1.StageResponseStarted, "watch", "jane", 200},
		{auditv1.StageResponseComplete, "watch", "jane", 200},
	}
	for i, line := range out.lines(t, len(want)) {
		var got auditv1.Event
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		w := want[i]
		if got.Stage != w.stage || got.Verb != w.verb || got.User.Username != w.user || got.ResponseStatus.Code != w.code ||
			got.ObjectRef.Resource != "configmaps" || got.AuditID != "id-1" || len(got.SourceIPs) != 1 {
			t.Errorf("event %d: got %s, want %+v", i, line, w)
		}
		if strings.Contains(line, "very secret") {
			t.Errorf("event %d tells a secret: %s", i, line)
		}
	}
}

// Who acts as another is written down too, also who was not let.
func TestWhoActsAsAnotherIsWrittenDown(t *testing.T) {
	var out buffer
	conf := servertest.Config()
	conf.Observers = []server.Observer{&audit.Log{Out: &out, Log: slog.New(slog.DiscardHandler), Now: time.Now}}
	conf.Authenticator = authz.Impersonation{Known: conf.Authenticator, Authorizer: authz.Everything{Group: user.SystemPrivilegedGroup}}
	_, rest := servertest.Start(t, conf)
	for _, who := range []string{"", "jane"} { // the first is an administrator
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, rest.Host+"/api/v1/namespaces/default/configmaps", nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Test-User", who)
		q.Header.Set("Impersonate-User", "alice")
		resp, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	lines := out.lines(t, 2)
	for i, want := range []struct {
		user, as string
		code     int32
	}{{"admin", "alice", 200}, {"jane", "", 403}} {
		var got auditv1.Event
		if err := json.Unmarshal([]byte(lines[i]), &got); err != nil {
			t.Fatal(err)
		}
		as := ""
		if got.ImpersonatedUser != nil {
			as = got.ImpersonatedUser.Username
		}
		if got.User.Username != want.user || as != want.as || got.ResponseStatus.Code != want.code {
			t.Errorf("event %d: got %s, want %+v", i, lines[i], want)
		}
	}
}
