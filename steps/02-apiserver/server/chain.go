package server

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzhttp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/authz"
)

// A link is one handler of the chain: it does its part, and mostly calls the next.
type link func(http.Handler) http.Handler

// Handler returns the whole chain, outermost first.
func (s *Server) Handler() http.Handler {
	links := []link{
		s.recovered,  // a bug costs one request, not the server
		withInfo,     // what the request is about
		s.observed,   // metrics, audit: also of those that are refused
		withWarnings, // what the client should know besides the answer
		s.timed,      // no request takes for ever
		s.authenticated,
		s.limited, // room for everybody
		s.authorized,
		compressed,
	}
	var h http.Handler = http.HandlerFunc(s.serve)
	for i := len(links) - 1; i >= 0; i-- {
		h = links[i](h)
	}
	return h
}

func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.conf.Log.Error("a request made the server panic", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			http.Error(w, "This request caused apiserver to panic. Look in the logs for details.", http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}

var infos = apirequest.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}

func withInfo(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, err := infos.NewRequestInfo(r)
		if err != nil {
			WriteError(w, r, apierrors.NewBadRequest(err.Error()))
			return
		}
		next.ServeHTTP(w, r.WithContext(apirequest.WithRequestInfo(r.Context(), info)))
	})
}

func infoOf(r *http.Request) *apirequest.RequestInfo {
	info, _ := apirequest.RequestInfoFrom(r.Context())
	return info
}

// A warner adds warnings to the header of the answer: RFC 7234, section 5.5. All
// of them come before the body, since they are about the request.
type warner struct {
	header http.Header
	told   map[string]bool
	length int
}

// maxWarnings bounds what clients have to take in their headers.
const maxWarnings = 4 << 10

func (w *warner) AddWarning(agent, text string) {
	if agent == "" {
		agent = "-"
	}
	line, err := net.NewWarningHeader(299, agent, text)
	if err != nil || w.told[line] || w.length+len(line) > maxWarnings {
		return
	}
	w.told[line] = true
	w.length += len(line)
	w.header.Add("Warning", line)
}

func withWarnings(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := warning.WithWarningRecorder(r.Context(), &warner{header: w.Header(), told: map[string]bool{}})
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// LongRunning says whether a request may last: a watch, a connection to a
// container, or its log, which may be long and on a slow line.
func LongRunning(r *http.Request) bool {
	info := infoOf(r)
	switch {
	case info == nil:
		return false
	case !info.IsResourceRequest:
		return strings.HasPrefix(info.Path, "/debug/pprof/")
	}
	return info.Verb == "watch" || slices.Contains([]string{"exec", "attach", "portforward", "proxy", "log"}, info.Subresource)
}

// growStack makes the goroutine's stack as large as a write will need it, before there is
// much on it. Every request has a goroutine of its own, which begins with two kilobytes and would be
// moved four times on its way down: 8 % of what the server did under load.
//
//go:noinline
func growStack(i int) byte {
	var room [28 << 10]byte
	return room[i]
}

func (s *Server) timed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !LongRunning(r) {
			growStack(0)
		}
		if s.conf.Timeout > 0 && !LongRunning(r) {
			ctx, cancel := context.WithTimeout(r.Context(), s.conf.Timeout)
			defer cancel()
			// Nor does its body, nor a client that does not read the answer, but for one that
			// says it took too long. Where this is not supported, there is no network.
			conn, over := http.NewResponseController(w), false
			late := newLookout(s.conf.Timeout, func() {
				over = true
				_ = conn.SetReadDeadline(time.Unix(1, 0))
				_ = conn.SetWriteDeadline(time.Now().Add(s.conf.Timeout / 10))
			})
			late.begin()
			defer func() {
				if late.close(); over { // the next request of the connection has its own time
					_ = conn.SetWriteDeadline(time.Time{})
				}
			}()
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}

// An Authenticator says who a request comes from: a user, who may be an *authz.Another,
// nobody that it knows (not ok), or somebody who is not who he claims to be (an error). An
// error that is a Status is what the client is told; who it is about may come with it.
type Authenticator interface {
	Authenticate(r *http.Request) (who user.Info, ok bool, err error)
}

func (s *Server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, ok, err := s.conf.Authenticator.Authenticate(r)
		who = setUser(r, who)
		if err != nil {
			s.conf.Log.Info("refused a client", "remote", r.RemoteAddr, "path", r.URL.Path, "error", err)
		}
		var known apierrors.APIStatus
		switch {
		case errors.As(err, &known): // somebody is known, and may not be who else they want to be
			WriteError(w, r, err)
			return
		case err != nil || !ok:
			WriteError(w, r, apierrors.NewUnauthorized("Unauthorized"))
			return
		}
		r.Header.Del("Authorization") // nobody has a use for it any more: none can pass it on
		next.ServeHTTP(w, r.WithContext(apirequest.WithUser(r.Context(), who)))
	})
}

func (s *Server) limited(next http.Handler) http.Handler {
	if s.conf.Limit == nil {
		return next
	}
	return s.conf.Limit(next)
}

func (s *Server) authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := attributes(r)
		decision, reason, err := s.conf.Authorizer.Authorize(r.Context(), a)
		if decision == authorizer.DecisionAllow {
			next.ServeHTTP(w, r)
			return
		}
		if err != nil {
			s.conf.Log.Warn("a request could not be authorized", "path", r.URL.Path, "error", err)
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		WriteError(w, r, authz.Forbidden(a, reason))
	})
}

// attributes is what is asked of the authorizer.
func attributes(r *http.Request) authorizer.Attributes {
	info := infoOf(r)
	who, _ := apirequest.UserFrom(r.Context())
	a := authorizer.AttributesRecord{
		User: who, Verb: info.Verb, Path: info.Path, ResourceRequest: info.IsResourceRequest,
		Namespace: info.Namespace, APIGroup: info.APIGroup, APIVersion: info.APIVersion,
		Resource: info.Resource, Subresource: info.Subresource, Name: info.Name,
	}
	// A node may list its own pods, and not all of them: the selectors are part of
	// what is asked for. One that can't be read asks for more, and is refused later.
	if s, err := fields.ParseSelector(info.FieldSelector); err == nil {
		a.FieldSelectorRequirements = s.Requirements()
	} else {
		a.FieldSelectorParsingErr = err
	}
	if s, err := labels.Parse(info.LabelSelector); err == nil {
		a.LabelSelectorRequirements, _ = s.Requirements()
	} else {
		a.LabelSelectorParsingErr = err
	}
	return a
}

// compressAbove is from how many bytes on an answer is compressed. Below it
// costs more time than it saves, see upstream's responsewriters/writers.go.
const compressAbove = 128 << 10

var compress, _ = gzhttp.NewWrapper(gzhttp.MinSize(compressAbove), gzhttp.CompressionLevel(1), gzhttp.ContentTypeFilter(gzhttp.CompressAllContentTypeFilter))

func compressed(next http.Handler) http.Handler {
	wrapped := compress(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && !LongRunning(r) {
			wrapped(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
