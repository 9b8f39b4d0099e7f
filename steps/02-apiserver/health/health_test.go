package health_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/health"
)

func TestAnswers(t *testing.T) {
	lame := func(context.Context) error { return errors.New("no leg") }
	for name, tt := range map[string]struct {
		check health.Check
		path  string
		code  int
		want  string
	}{
		"well":                      {health.Ping, "/healthz", 200, "ok"},
		"well, at length":           {health.Ping, "/readyz?verbose", 200, "[+]ping ok\n[+]ping ok\nreadyz check passed\n"},
		"one check":                 {health.Ping, "/livez/ping", 200, "ok"},
		"a check that is not":       {health.Ping, "/livez/pong", 404, "404 page not found\n"},
		"lame":                      {health.Check{Name: "legs", Ask: lame}, "/livez", 500, "[+]ping ok\n[-]legs failed: reason withheld\nlivez check failed\n"},
		"lame, which is passed by":  {health.Check{Name: "legs", Ask: lame}, "/livez?verbose&exclude=legs", 200, "[+]ping ok\n[+]legs excluded: ok\nlivez check passed\n"},
		"alive and not ready":       {health.Check{Name: "legs", Ask: lame, Ready: true}, "/livez?verbose", 200, "[+]ping ok\nlivez check passed\n"},
		"healthy and not ready":     {health.Check{Name: "legs", Ask: lame, Ready: true}, "/healthz", 200, "ok"},
		"not ready":                 {health.Check{Name: "legs", Ask: lame, Ready: true}, "/readyz", 500, "[+]ping ok\n[-]legs failed: reason withheld\nreadyz check failed\n"},
		"the one that is not ready": {health.Check{Name: "legs", Ask: lame, Ready: true}, "/readyz/legs", 500, "[-]legs failed: reason withheld\nreadyz check failed\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			checks := []health.Check{health.Ping, tt.check}
			name, _, _ := strings.Cut(strings.TrimPrefix(tt.path, "/"), "?")
			name, _, _ = strings.Cut(name, "/")
			if name != "readyz" {
				checks = health.Alive(checks)
			}
			w := httptest.NewRecorder()
			health.Handler(name, checks, slog.New(slog.NewTextHandler(&log, nil))).ServeHTTP(w, httptest.NewRequest(http.MethodGet, tt.path, nil))
			if w.Code != tt.code || w.Body.String() != tt.want {
				t.Errorf("got %d\n%s\nwant %d\n%s", w.Code, w.Body, tt.code, tt.want)
			}
			if told := strings.Contains(log.String(), "no leg"); told != (tt.code == 500) {
				t.Errorf("the log says %q", log.String())
			}
		})
	}
}
