// Package health answers /livez, /readyz and /healthz: whether a component is well, and
// with ?verbose, or when it is not, what was looked at.
//
// Upstream: k8s.io/apiserver/pkg/server/healthz, whose answers these are.
package health

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Check is one thing that must be so for a component to be well.
type Check struct {
	Name string
	Ask  func(context.Context) error
	// Ready is for what makes it useless for a while (no traffic, please), but
	// would not get better by a restart.
	Ready bool
}

// Ping is the check that there is an answer.
var Ping = Check{Name: "ping", Ask: func(context.Context) error { return nil }}

// patience is how long one check may take.
const patience = 2 * time.Second

// Alive returns the checks that a restart may mend: those of /livez and /healthz.
func Alive(checks []Check) []Check {
	return slices.DeleteFunc(slices.Clone(checks), func(c Check) bool { return c.Ready })
}

// Handler answers at /name, and below it, where one check is asked for: /readyz,
// /readyz/etcd. Why a check fails is told to the log alone, since anybody may ask.
func Handler(name string, checks []Check, log *slog.Logger) http.Handler {
	return asked{name, checks, log}
}

type asked struct {
	name   string
	checks []Check
	log    *slog.Logger
}

func (a asked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	checks := a.checks
	if one := strings.Trim(strings.TrimPrefix(r.URL.Path, "/"+a.name), "/"); one != "" {
		i := slices.IndexFunc(checks, func(c Check) bool { return c.Name == one })
		if i < 0 {
			http.NotFound(w, r)
			return
		}
		checks = checks[i : i+1]
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	report, healthy := a.ask(r, checks)
	switch _, verbose := r.URL.Query()["verbose"]; {
	case !healthy:
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "%s%s check failed\n", report, a.name)
	case verbose:
		fmt.Fprintf(w, "%s%s check passed\n", report, a.name)
	default:
		fmt.Fprint(w, "ok")
	}
}

func (a asked) ask(r *http.Request, checks []Check) (report string, healthy bool) {
	excluded := r.URL.Query()["exclude"]
	var b strings.Builder
	healthy = true
	for _, c := range checks {
		if slices.Contains(excluded, c.Name) {
			fmt.Fprintf(&b, "[+]%s excluded: ok\n", c.Name)
			continue
		}
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		if err := c.Ask(ctx); err != nil {
			healthy = false
			fmt.Fprintf(&b, "[-]%s failed: reason withheld\n", c.Name)
			a.log.Info("a health check fails", "of", a.name, "check", c.Name, "err", err)
		} else {
			fmt.Fprintf(&b, "[+]%s ok\n", c.Name)
		}
		cancel()
	}
	return b.String(), healthy
}
