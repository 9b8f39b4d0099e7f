package apiserver

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	apiversion "k8s.io/apimachinery/pkg/version"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/fairness"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/metrics"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/server"
)

// version is that of the API that is served, which clients compare with theirs.
var version = apiversion.Info{Major: "1", Minor: "37", GitVersion: "v1.37.1+groundup",
	GoVersion: runtime.Version(), Compiler: runtime.Compiler, Platform: runtime.GOOS + "/" + runtime.GOARCH}

// flags are upstream's where upstream has one for the same thing.
type flags struct {
	dataDir string

	etcdServers                       []string
	etcdCA, etcdCert, etcdKey         string
	etcdListen                        []string
	compaction                        time.Duration
	bind, advertise                   netip.Addr
	bindText, advertiseText           string
	port                              int
	tlsCert, tlsKey, clientCA         string
	signingKey                        string
	trustedKeys                       []string
	issuer                            string
	audiences                         []string
	kubeletCert, kubeletKey           string
	kubeletCA                         string
	kubeletAddresses                  []string
	servicesText                      string
	services                          netip.Prefix
	modes                             []string
	policy                            string
	auditLog                          string
	auditSize, auditBackups, auditAge int
	reads, writes                     int
	requestTimeout, eventTTL          time.Duration
	profiling                         bool
	verbosity                         int
	privileged                        bool
}

func parse(args []string) (*flags, error) {
	f := &flags{}
	fs := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.StringVar(&f.dataDir, "data-dir", "", "`directory` for etcd's data, and for the certificates that are not given by other flags")

	fs.StringSliceVar(&f.etcdServers, "etcd-servers", nil, "`URLs` of an etcd cluster; without it etcd runs inside, in --data-dir")
	fs.StringVar(&f.etcdCA, "etcd-cafile", "", "`file` with the authority that has signed etcd's certificate")
	fs.StringVar(&f.etcdCert, "etcd-certfile", "", "`file` with the certificate to show etcd")
	fs.StringVar(&f.etcdKey, "etcd-keyfile", "", "`file` with the key of that certificate")
	fs.StringSliceVar(&f.etcdListen, "etcd-listen-client-urls", nil, "`URLs` at which the etcd inside listens for others, besides its unix socket")
	fs.DurationVar(&f.compaction, "etcd-compaction-interval", 5*time.Minute, "`how often` the store forgets what was before the last time")

	fs.StringVar(&f.bindText, "bind-address", "127.0.0.1", "`address` to listen on")
	fs.IntVar(&f.port, "secure-port", 6443, "`port` to listen on")
	fs.StringVar(&f.advertiseText, "advertise-address", "", "`address` at which the members of the cluster reach this server (default: --bind-address)")
	fs.StringVar(&f.tlsCert, "tls-cert-file", "", "`file` with the certificate to serve with")
	fs.StringVar(&f.tlsKey, "tls-private-key-file", "", "`file` with its key")
	fs.StringVar(&f.clientCA, "client-ca-file", "", "`file` with the authorities of clients' certificates")

	fs.StringVar(&f.signingKey, "service-account-signing-key-file", "", "`file` with the key that signs tokens of service accounts")
	fs.StringSliceVar(&f.trustedKeys, "service-account-key-file", nil, "`files` with keys whose tokens are believed")
	fs.StringVar(&f.issuer, "service-account-issuer", "https://kubernetes.default.svc.cluster.local", "`URL` that tokens say they come from")
	fs.StringSliceVar(&f.audiences, "api-audiences", nil, "`names` of this server in tokens (default: the issuer)")

	fs.StringVar(&f.kubeletCert, "kubelet-client-certificate", "", "`file` with the certificate to show kubelets")
	fs.StringVar(&f.kubeletKey, "kubelet-client-key", "", "`file` with its key")
	fs.StringVar(&f.kubeletCA, "kubelet-certificate-authority", "", "`file` with the authority of kubelets' certificates")
	fs.StringSliceVar(&f.kubeletAddresses, "kubelet-preferred-address-types", nil, "`types` of node addresses in order of preference")

	fs.StringVar(&f.servicesText, "service-cluster-ip-range", "10.96.0.0/12", "`CIDR` of service addresses")
	fs.StringSliceVar(&f.modes, "authorization-mode", []string{"Node"}, "`modes`: Node, and ABAC with a policy file; AlwaysAllow for tests")
	fs.StringVar(&f.policy, "authorization-policy-file", "", "`file` with the policy of mode ABAC")

	fs.StringVar(&f.auditLog, "audit-log-path", "", "`file` of the audit log; - is the standard output")
	fs.IntVar(&f.auditSize, "audit-log-maxsize", 100, "`megabytes` of the audit log before it is rotated")
	fs.IntVar(&f.auditBackups, "audit-log-maxbackup", 3, "`number` of rotated audit logs to keep")
	fs.IntVar(&f.auditAge, "audit-log-maxage", 0, "`days` to keep them")

	fs.IntVar(&f.reads, "max-requests-inflight", 400, "`number` of reads that are served at once")
	fs.IntVar(&f.writes, "max-mutating-requests-inflight", 200, "`number` of writes that are served at once")
	fs.DurationVar(&f.requestTimeout, "request-timeout", time.Minute, "`how long` a request may take that is no watch or connection")
	fs.DurationVar(&f.eventTTL, "event-ttl", time.Hour, "`how long` events are kept")
	fs.BoolVar(&f.profiling, "profiling", false, "serve /debug/pprof/")
	fs.BoolVar(&f.privileged, "allow-privileged", true, "accepted for the sake of manifests made for upstream: privileged containers are always allowed")
	fs.IntVarP(&f.verbosity, "v", "v", 0, "`how much` to log: 4 and more is everything")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q", fs.Arg(0))
	}
	return f, f.complete()
}

// complete derives what was left out, and refuses what does not fit together.
func (f *flags) complete() (err error) {
	if f.bind, err = netip.ParseAddr(f.bindText); err != nil {
		return fmt.Errorf("--bind-address: %w", err)
	}
	if f.advertiseText == "" {
		f.advertiseText = f.bindText
	}
	if f.advertise, err = netip.ParseAddr(f.advertiseText); err != nil {
		return fmt.Errorf("--advertise-address: %w", err)
	}
	if f.services, err = netip.ParsePrefix(f.servicesText); err != nil {
		return fmt.Errorf("--service-cluster-ip-range: %w", err)
	}
	if len(f.audiences) == 0 {
		f.audiences = []string{f.issuer}
	}
	for name, d := range map[string]time.Duration{"etcd-compaction-interval": f.compaction, "event-ttl": f.eventTTL} {
		if d <= 0 {
			return fmt.Errorf("--%s: must be more than nothing, not %s", name, d)
		}
	}
	if f.dataDir == "" && len(f.etcdServers) == 0 {
		return errors.New("--data-dir is missing: where is the data to be kept? (Or give --etcd-servers.)")
	}
	own := f.tlsCert == "" || f.clientCA == "" || f.signingKey == ""
	if own && f.dataDir == "" {
		return errors.New("give --data-dir, in which certificates are made, or all of --tls-cert-file, --client-ca-file and --service-account-signing-key-file")
	}
	return nil
}

func (f *flags) pkiDir() string { return filepath.Join(f.dataDir, "pki") }

func (f *flags) logger(w io.Writer) *slog.Logger {
	level := slog.LevelInfo
	if f.verbosity >= 4 {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// queueLength is how many requests of one user may wait.
const queueLength = 500

// limit makes the limits of what is served at once.
func (f *flags) limit(m *metrics.Metrics) func(http.Handler) http.Handler {
	h := fairness.Handler{Reads: fairness.New(f.reads, queueLength), Writes: fairness.New(f.writes, queueLength), Lasting: exempt}
	const name, help = "apiserver_current_inqueue_requests", "Maximal number of queued requests in this apiserver per request kind in last second."
	m.Gauge(name, help, map[string]string{"request_kind": "readOnly"}, func() float64 { return float64(h.Reads.Waiting()) })
	m.Gauge(name, help, map[string]string{"request_kind": "mutating"}, func() float64 { return float64(h.Writes.Waiting()) })
	return h.Wrap
}

// exempt is what lasts, and who asks whether the server is well: if it is only busy, he must
// not take it for dead.
func exempt(r *http.Request) bool {
	root, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return server.LongRunning(r) || slices.Contains([]string{"healthz", "livez", "readyz"}, root)
}

func (f *flags) profile(handlers map[string]http.Handler) {
	if !f.profiling {
		return
	}
	handlers["/debug/pprof/"] = http.HandlerFunc(pprof.Index)
	handlers["/debug/pprof/profile"] = http.HandlerFunc(pprof.Profile)
	handlers["/debug/pprof/trace"] = http.HandlerFunc(pprof.Trace)
	handlers["/debug/pprof/symbol"] = http.HandlerFunc(pprof.Symbol)
}

func (f *flags) addressTypes() []corev1.NodeAddressType {
	var types []corev1.NodeAddressType
	for _, t := range f.kubeletAddresses {
		types = append(types, corev1.NodeAddressType(t))
	}
	return types
}
