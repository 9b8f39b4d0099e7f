package fairness

import (
	"context"
	"net/http"
	"slices"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// patience is how long a request may wait for a place.
const patience = 15 * time.Second

// A Handler lets requests through to the next handler: reads and writes have places
// of their own, so that neither can shut out the other.
type Handler struct {
	Reads, Writes *Limiter

	Lasting func(*http.Request) bool // these hold no place: watches, connections, and who asks whether the server is well
}

// Wrap returns a handler that calls next when there is a place. Administrators
// need none: they are who must get in when nobody else does.
func (h Handler) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, ok := apirequest.UserFrom(r.Context())
		if !ok || h.Lasting(r) || slices.Contains(who.GetGroups(), user.SystemPrivilegedGroup) {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		release, err := h.limiter(r).Acquire(ctx, who.GetName())
		cancel()
		if err != nil {
			refuse(w)
			return
		}
		defer release()
		next.ServeHTTP(w, r)
	})
}

// refuse answers as upstream does, not with a Status: clients of client-go wait for a
// second then and try again.
func refuse(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "Too many requests, please try again later.", http.StatusTooManyRequests)
}

func (h Handler) limiter(r *http.Request) *Limiter {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
		return h.Reads
	}
	return h.Writes
}
