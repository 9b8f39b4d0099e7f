package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Check is one thing that must be so for the server to be well.
type Check struct {
	Name string
	Ask  func(context.Context) error
	// Ready is for what makes a server useless for a while (no traffic, please), but
	// would not get better by a restart.
	Ready bool
}

// checkFor is how long one check may take.
const checkFor = 2 * time.Second

// checks are the server's own and those of its configuration.
func (s *Server) checks() []Check {
	return append([]Check{
		{Name: "ping", Ask: func(context.Context) error { return nil }}, // we do answer
		{Name: "watch-caches", Ready: true, Ask: s.cachesFilled},
		{Name: "shutdown", Ready: true, Ask: s.notStopping},
	}, s.conf.Checks...)
}

func (s *Server) cachesFilled(context.Context) error {
	for gvr, e := range s.endpoints {
		if e.registry != nil && e.registry.Cache.Revision() == 0 {
			return fmt.Errorf("%s has not been read yet", gvr.GroupResource())
		}
	}
	return nil
}

func (s *Server) notStopping(context.Context) error {
	if s.stopping.Err() != nil {
		return fmt.Errorf("the server is stopping")
	}
	return nil
}

// health answers one of the health paths, and those below it that ask for one
// check: /readyz, /readyz/etcd.
func health(root string, checks []Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chosen := checks
		if name := strings.Trim(strings.TrimPrefix(r.URL.Path, root), "/"); name != "" {
			i := slices.IndexFunc(checks, func(c Check) bool { return c.Name == name })
			if i < 0 {
				http.NotFound(w, r)
				return
			}
			chosen = checks[i : i+1]
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		report, healthy := ask(r, chosen)
		_, verbose := r.URL.Query()["verbose"]
		switch name := strings.Trim(root, "/"); {
		case !healthy:
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprintf(w, "%s%s check failed\n", report, name)
		case verbose:
			fmt.Fprintf(w, "%s%s check passed\n", report, name)
		default:
			fmt.Fprint(w, "ok")
		}
	})
}

// ask reports on the checks. The reason of a failure is for the log, since
// anybody may ask.
func ask(r *http.Request, checks []Check) (report string, healthy bool) {
	excluded := r.URL.Query()["exclude"]
	var b strings.Builder
	healthy = true
	for _, c := range checks {
		if slices.Contains(excluded, c.Name) {
			fmt.Fprintf(&b, "[+]%s excluded: ok\n", c.Name)
			continue
		}
		ctx, cancel := context.WithTimeout(r.Context(), checkFor)
		if err := c.Ask(ctx); err != nil {
			healthy = false
			fmt.Fprintf(&b, "[-]%s failed: reason withheld\n", c.Name)
		} else {
			fmt.Fprintf(&b, "[+]%s ok\n", c.Name)
		}
		cancel()
	}
	return b.String(), healthy
}

func alive(checks []Check) []Check {
	return slices.DeleteFunc(slices.Clone(checks), func(c Check) bool { return c.Ready })
}
