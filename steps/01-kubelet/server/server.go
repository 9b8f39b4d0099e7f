// Package server is the kubelet's own HTTPS server.
//
// The API server is its client: `kubectl logs`, `exec` and `port-forward` end
// here, and so do the scrapes of metrics. It answers from what the kubelet
// knows ([Kubelet]), from files (logs) and from the runtime (streams), and
// changes nothing. Paths, parameters, error bodies and metric names are
// upstream's (pkg/kubelet/server/server.go).
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// A Kubelet is what the server asks. Its methods may be called concurrently,
// and the server does not change what they return.
type Kubelet interface {
	// Pods returns the pods that this node was given, with their status.
	Pods() []*corev1.Pod

	// RunningPods returns the pods that the runtime has, reconstructed from
	// it alone.
	RunningPods(ctx context.Context) ([]*corev1.Pod, error)

	// SyncLoopHealthy returns an error when the sync loop is stuck.
	SyncLoopHealthy() error
}

// A Runtime is the part of the CRI that streams and logs need.
// runtimeapi.RuntimeServiceServer has it.
type Runtime interface {
	ContainerStatus(context.Context, *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error)
	ListPodSandbox(context.Context, *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error)
	ExecSync(context.Context, *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error)
	Exec(context.Context, *runtimeapi.ExecRequest) (*runtimeapi.ExecResponse, error)
	Attach(context.Context, *runtimeapi.AttachRequest) (*runtimeapi.AttachResponse, error)
	PortForward(context.Context, *runtimeapi.PortForwardRequest) (*runtimeapi.PortForwardResponse, error)
}

// Stats provides the numbers. *stats.Provider does.
type Stats interface {
	Summary(ctx context.Context, onlyCPUAndMemory bool) (*statsapi.Summary, error)
	Collector() prometheus.Collector // of /metrics/resource
}

// A Config describes a Server.
type Config struct {
	Kubelet Kubelet
	Runtime Runtime
	Stats   Stats

	// Streaming is the runtime's own side of exec, attach and port-forward when
	// it is in this process. When it is nil, streams are proxied to the URL
	// that Runtime returns.
	Streaming streaming.Runtime

	// Metrics is where the rest of the kubelet registers what /metrics shows;
	// the server adds its own. ProbeMetrics is what /metrics/probes shows. Both
	// may be nil.
	Metrics      *prometheus.Registry
	ProbeMetrics prometheus.Gatherer

	// Configz is what /configz shows under "kubeletconfig".
	Configz any

	TLS              *tls.Config // from [TLS]; nil serves plain HTTP, to everybody: for tests
	AnonymousHealthz bool        // whether /healthz answers clients without certificate
	Tokens           Tokens      // nil: certificates alone prove who a client is
	Authorizer       Authorizer  // nil means AlwaysAllow
	PodLogsDir       string      // logs outside of it are not served
	Log              *slog.Logger
}

// A Server answers on the listeners that it is given.
type Server struct {
	conf     Config
	handler  http.Handler
	readOnly http.Handler
}

// New returns a server. It registers its metrics, so it can be called once for
// each registry.
func New(conf Config) (*Server, error) {
	if conf.Authorizer == nil {
		conf.Authorizer = AlwaysAllow{}
	}
	if conf.Log == nil {
		conf.Log = slog.New(slog.DiscardHandler)
	}
	if conf.Metrics == nil {
		conf.Metrics = prometheus.NewRegistry()
	}
	s := &Server{conf: conf}
	requests, err := s.register()
	if err != nil {
		return nil, fmt.Errorf("register the kubelet server's metrics: %w", err)
	}
	s.handler = requests.count("readwrite", s.authenticate(s.routes()))
	s.readOnly = requests.count("readonly", s.readOnlyRoutes())
	return s, nil
}

// Handler is everything that the authenticated port serves.
func (s *Server) Handler() http.Handler { return s.handler }

// ReadOnlyHandler is what the read-only port serves, to everybody: /pods,
// /healthz, /stats and /metrics.
func (s *Server) ReadOnlyHandler() http.Handler { return s.readOnly }

func (s *Server) readOnlyRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /pods", s.pods)
	mux.HandleFunc("GET /pods/{$}", s.pods)
	for path, checks := range s.healthChecks() {
		mux.Handle("GET "+path, checks)
	}
	mux.HandleFunc("GET /stats/summary", s.summary)
	mux.Handle("GET /metrics", s.metrics(s.conf.Metrics))
	mux.Handle("GET /metrics/resource", s.resourceMetrics())
	mux.Handle("GET /metrics/probes", s.metrics(s.conf.ProbeMetrics))
	return mux
}

func (s *Server) routes() *http.ServeMux {
	mux := s.readOnlyRoutes()
	mux.HandleFunc("GET /runningpods/", s.runningPods)
	mux.HandleFunc("GET /configz", s.configz)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", s.containerLogs)
	for _, method := range []string{"GET", "POST"} {
		mux.HandleFunc(method+" /exec/{namespace}/{pod}/{container}", s.exec)
		mux.HandleFunc(method+" /exec/{namespace}/{pod}/{uid}/{container}", s.exec)
		mux.HandleFunc(method+" /attach/{namespace}/{pod}/{container}", s.attach)
		mux.HandleFunc(method+" /attach/{namespace}/{pod}/{uid}/{container}", s.attach)
		mux.HandleFunc(method+" /portForward/{namespace}/{pod}", s.portForward)
		mux.HandleFunc(method+" /portForward/{namespace}/{pod}/{uid}", s.portForward)
	}
	mux.HandleFunc("POST /run/{namespace}/{pod}/{container}", s.run)
	mux.HandleFunc("POST /run/{namespace}/{pod}/{uid}/{container}", s.run)
	return mux
}

// Run serves on l, and on readOnly unless that is nil, until ctx is done, and
// closes both. Streams that are open then are cut; Run returns when the last
// one has ended.
func (s *Server) Run(ctx context.Context, l, readOnly net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.serve(ctx, l, s.handler, s.conf.TLS) })
	if readOnly != nil {
		group.Go(func() error { return s.serve(ctx, readOnly, s.readOnly, nil) })
	}
	return group.Wait()
}

func (s *Server) serve(ctx context.Context, l net.Listener, h http.Handler, conf *tls.Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var handlers sync.RWMutex // every handler holds it for reading
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handlers.RLock()
			defer handlers.RUnlock()
			h.ServeHTTP(w, r)
		}),
		TLSConfig:         conf,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       90 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.conf.Log.Handler(), slog.LevelDebug),
	}
	open := &connections{Listener: l}
	context.AfterFunc(ctx, func() {
		srv.Close()
		open.closeAll() // those that were upgraded are not the http.Server's any more
	})
	err := serveOn(srv, open)
	cancel()
	handlers.Lock() // waits for the last
	defer handlers.Unlock()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the kubelet API on %s: %w", l.Addr(), err)
}

func serveOn(srv *http.Server, l net.Listener) error {
	if srv.TLSConfig == nil {
		return srv.Serve(l)
	}
	return srv.ServeTLS(l, "", "")
}
