// Package serving answers what is asked of a scheduler over HTTPS: whether it is
// well, what it has counted, how it is configured, and why it decided as it did.
//
// Whether it is well is told to everybody, as whoever watches over it may have no
// credentials. The rest is for those whom the API server allows it: a client
// certificate of the cluster's authority or a token says who it is, and if that is
// no member of system:masters, a SubjectAccessReview about the path says whether
// they may.
//
// Upstream: cmd/kube-scheduler/app/server.go and k8s.io/apiserver's delegated
// authentication and authorization.
package serving

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/health"
	certutil "k8s.io/client-go/util/cert"
)

// Handlers are what a scheduler answers with.
type Handlers struct {
	Checks    []health.Check // of /readyz, and those that are of its life of /healthz; /livez is well while there is an answer
	Log       *slog.Logger
	Metrics   http.Handler
	Resources http.Handler // /metrics/resources
	Config    any          // /configz
	Why       http.Handler
	Profiling bool
}

// Handler returns what answers all requests. access guards all but health.
func (h Handlers) Handler(access Access) http.Handler {
	mux := http.NewServeMux()
	for name, checks := range map[string][]health.Check{
		"livez": {health.Ping}, "healthz": health.Alive(h.Checks), "readyz": h.Checks,
	} {
		mux.Handle("GET /"+name, health.Handler(name, checks, h.Log))
		mux.Handle("GET /"+name+"/", health.Handler(name, checks, h.Log))
	}
	guarded := map[string]http.Handler{"/metrics": h.Metrics, "/metrics/resources": h.Resources, "/configz": asJSON(h.Config), "/debug/why": h.Why}
	if h.Profiling {
		guarded["/debug/pprof/"] = http.HandlerFunc(pprof.Index)
		guarded["/debug/pprof/profile"] = http.HandlerFunc(pprof.Profile)
		guarded["/debug/pprof/trace"] = http.HandlerFunc(pprof.Trace)
		guarded["/debug/pprof/symbol"] = http.HandlerFunc(pprof.Symbol)
	}
	for path, handler := range guarded {
		mux.Handle("GET "+path, access.guard(handler))
	}
	return mux
}

func asJSON(config any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"kubescheduler.config.k8s.io": config}) // the client has gone if it fails
	}
}

// TLS returns how to serve: with the certificate of two files, or with one that is
// made now and nobody knows. Any client certificate passes the handshake; a wrong
// one is told of in HTTP.
func TLS(certFile, keyFile, host string) (*tls.Config, error) {
	var pair tls.Certificate
	var err error
	if certFile != "" {
		pair, err = tls.LoadX509KeyPair(certFile, keyFile)
	} else {
		var cert, key []byte
		if cert, key, err = certutil.GenerateSelfSignedCertKey(host, []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"localhost"}); err == nil {
			pair, err = tls.X509KeyPair(cert, key)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("serving certificate: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: tls.RequestClientCert, Certificates: []tls.Certificate{pair}}, nil
}

// Run serves until ctx is done.
func Run(ctx context.Context, l net.Listener, conf *tls.Config, h http.Handler, log *slog.Logger) error {
	s := &http.Server{Handler: h, TLSConfig: conf, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// Authorities reads the certificates of authorities, in PEM.
func Authorities(pem []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate inside")
	}
	return pool, nil
}
