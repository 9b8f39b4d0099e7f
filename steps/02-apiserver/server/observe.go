package server

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/authz"
)

// A Stage is how far a request has come, in the words of the audit log.
type Stage string

const (
	Received Stage = "RequestReceived"
	Started  Stage = "ResponseStarted" // of those that last: the header has been sent
	Complete Stage = "ResponseComplete"
)

// An Exchange is a request and what is known of its answer.
type Exchange struct {
	*http.Request
	Info     *apirequest.RequestInfo
	Known    bool      // about a resource that there is
	Lasting  bool      // a watch or a connection
	User     user.Info // nil until it is known
	As       user.Info // whom User acts as, nil if nobody else
	Received time.Time
	Code     int   // 0 before the header has been sent
	Bytes    int64 // of the answer's body, so far
	Headers  http.Header
}

// An Observer is told of every request, by the goroutine that serves it.
type Observer interface {
	Observe(stage Stage, e *Exchange)
}

func (s *Server) knows(info *apirequest.RequestInfo) bool {
	if !info.IsResourceRequest {
		return false
	}
	e := s.endpoints[schema.GroupVersionResource{Group: info.APIGroup, Version: info.APIVersion, Resource: info.Resource}]
	return e != nil && (info.Subresource == "" || e.sub(info.Subresource) != nil)
}

type exchangeKey struct{}

// observed tells the observers.
func (s *Server) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &Exchange{Request: r, Info: infoOf(r), Known: s.knows(infoOf(r)), Lasting: LongRunning(r), Received: time.Now(), Headers: w.Header()}
		tell := func(stage Stage) {
			for _, o := range s.conf.Observers {
				o.Observe(stage, e)
			}
		}
		tell(Received)
		otherwise := http.StatusInternalServerError // as it is answered further out when it panics
		defer func() {
			if e.Code == 0 {
				e.Code = otherwise
			}
			tell(Complete)
		}()
		next.ServeHTTP(&answer{ResponseWriter: w, exchange: e, started: func() { tell(Started) }},
			r.WithContext(context.WithValue(r.Context(), exchangeKey{}, e)))
		otherwise = http.StatusOK // as net/http answers when nobody has
	})
}

// setUser notes who it is, for observers further out, and returns as whom the request is
// served.
func setUser(r *http.Request, who user.Info) user.Info {
	e, ok := r.Context().Value(exchangeKey{}).(*Exchange)
	if !ok {
		e = &Exchange{} // nobody looks on
	}
	if another, ok := who.(*authz.Another); ok {
		e.User, e.As = another.By, another.Info
		return another.Info
	}
	e.User = who
	return who
}

// An answer counts what is written.
type answer struct {
	http.ResponseWriter
	exchange *Exchange
	started  func()
}

// Unwrap is how http.ResponseController finds what it needs.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) begin(code int) {
	if a.exchange.Code != 0 {
		return
	}
	a.exchange.Code = code
	if a.exchange.Lasting {
		a.started()
	}
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(code int) {
	if code >= http.StatusOK || code == http.StatusSwitchingProtocols {
		a.begin(code)
	}
	a.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(data []byte) (int, error) {
	a.begin(http.StatusOK)
	n, err := a.ResponseWriter.Write(data)
	a.exchange.Bytes += int64(n)
	return n, err
}

// Flush implements http.Flusher.
func (a *answer) Flush() {
	_ = http.NewResponseController(a.ResponseWriter).Flush() // who can't has nothing to flush
}

// Hijack implements http.Hijacker.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(a.ResponseWriter).Hijack()
	if err == nil {
		a.begin(http.StatusSwitchingProtocols)
	}
	return conn, rw, err
}
