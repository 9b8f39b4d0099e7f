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
	"log/slog"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
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
	ReopenContainerLog(context.Context, *runtimeapi.ReopenContainerLogRequest) (*runtimeapi.ReopenContainerLogResponse, error)
}

// Stats provides the numbers.
type Stats interface {
	Summary(ctx context.Context) (*statsapi.Summary, error)
}

// A User is who a request comes from.
type User struct {
	Name   string
	Groups []string
}

// An Authorizer decides on authenticated requests. Verb and path are upstream's
// attributes for the kubelet: get, create …; "pods/exec", "stats", "metrics",
// "proxy" ….
type Authorizer interface {
	Authorize(ctx context.Context, u User, verb, subresource string) (allowed bool, reason string)
}

// AlwaysAllow lets every authenticated client do everything.
type AlwaysAllow struct{}

// Authorize implements Authorizer.
func (AlwaysAllow) Authorize(context.Context, User, string, string) (bool, string) { return true, "" }

// A Config describes a Server.
type Config struct {
	Kubelet Kubelet
	Runtime Runtime
	Stats   Stats

	// Streaming is the runtime's own side of exec, attach and port-forward when
	// it is in this process. When it is nil, streams are proxied to the URL
	// that Runtime returns.
	Streaming streaming.Runtime

	// Metrics is where the rest of the kubelet registers what /metrics shows.
	// The server adds its own.
	Metrics *prometheus.Registry

	// ProbeMetrics is what /metrics/probes shows; nil shows nothing.
	ProbeMetrics prometheus.Gatherer

	// Configz is what /configz shows under "kubeletconfig".
	Configz any

	TLS        *tls.Config // from [TLS]; nil serves plain HTTP, for tests
	Anonymous  bool        // whether clients without certificate are authenticated as system:anonymous
	Authorizer Authorizer  // nil means AlwaysAllow
	PodLogsDir string      // logs outside of it are not served
	NodeName   string
	Log        *slog.Logger
}

// A Server answers on the listeners that it is given.
type Server struct{ conf Config }

// New returns a server.
func New(conf Config) (*Server, error) { return &Server{conf}, nil }

// Handler is everything that the authenticated port serves.
func (s *Server) Handler() http.Handler { return nil }

// ReadOnlyHandler is what the read-only port serves, to everybody: /pods,
// /healthz, /stats/summary and /metrics.
func (s *Server) ReadOnlyHandler() http.Handler { return nil }

// Run serves on l, and on readOnly unless that is nil, until ctx is done, and
// closes both. Streams that are open then are cut.
func (s *Server) Run(ctx context.Context, l, readOnly net.Listener) error { return nil }

// A Cert says where the serving certificate is and who may be a client.
type Cert struct {
	CertFile, KeyFile string   // given together, or both empty: self-signed in Dir
	Dir               string   // /var/lib/kubelet/pki
	ClientCAFile      string   // verifies client certificates; empty: none is accepted
	Names             []string // host names and addresses of a self-signed certificate
}

// TLS loads or makes the serving certificate. A self-signed one is kept in
// Dir as kubelet.crt and kubelet.key, and made again when it is close to its end.
func TLS(c Cert) (*tls.Config, error) { return nil, nil }
