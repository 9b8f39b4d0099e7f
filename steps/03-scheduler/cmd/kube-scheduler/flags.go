package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	componentv1alpha1 "k8s.io/component-base/config/v1alpha1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/gather"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/config"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/serving"
)

// flags are upstream's. What the configuration file says too is taken from the flag
// if there is no file, as upstream has it; those of the election always count.
type flags struct {
	config, kubeconfig            string
	authentication, authorization string
	clientCA                      string
	bind                          string
	port                          int
	tlsCert, tlsKey               string
	verbosity                     int

	unheeded []string // flags that were given, and whose place is in the file that was given too
}

func parse(args []string) (*flags, *config.Config, error) {
	f, given := &flags{}, &config.Config{}
	fs := pflag.NewFlagSet("kube-scheduler", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.StringVar(&f.config, "config", "", "`file` of the kind KubeSchedulerConfiguration; of the flags that say the same things only those of the election are looked at then")
	fs.StringVar(&f.kubeconfig, "kubeconfig", "", "`file` that says where the API server is, and who we are")
	fs.StringVar(&f.authentication, "authentication-kubeconfig", "", "`file` by which the API server is asked whose a token is; its authority signs certificates of clients (default: --kubeconfig)")
	fs.StringVar(&f.authorization, "authorization-kubeconfig", "", "`file` by which the API server is asked what clients may do (default: --kubeconfig)")
	fs.StringVar(&f.clientCA, "client-ca-file", "", "`file` with the authorities of clients' certificates (default: that of --authentication-kubeconfig)")
	fs.StringVar(&f.bind, "bind-address", "0.0.0.0", "`address` to listen on")
	fs.IntVar(&f.port, "secure-port", 10259, "`port` to listen on; 0 to listen on none")
	fs.StringVar(&f.tlsCert, "tls-cert-file", "", "`file` with the certificate to serve with; without it one is made that nobody knows")
	fs.StringVar(&f.tlsKey, "tls-private-key-file", "", "`file` with its key")
	given.LeaderElection.LeaderElect = fs.Bool("leader-elect", true, "schedule only while no other scheduler does that holds the same Lease")
	fs.StringVar(&given.LeaderElection.ResourceNamespace, "leader-elect-resource-namespace", "kube-system", "`namespace` of the Lease")
	fs.StringVar(&given.LeaderElection.ResourceName, "leader-elect-resource-name", "kube-scheduler", "`name` of the Lease")
	fs.DurationVar(&given.LeaderElection.LeaseDuration.Duration, "leader-elect-lease-duration", 15*time.Second, "`how long` others wait for one that does not renew the Lease")
	fs.DurationVar(&given.LeaderElection.RenewDeadline.Duration, "leader-elect-renew-deadline", 10*time.Second, "`how long` the leader tries to renew it before it gives up")
	fs.DurationVar(&given.LeaderElection.RetryPeriod.Duration, "leader-elect-retry-period", 2*time.Second, "`how often` it is tried")
	fs.Float32Var(&given.ClientConnection.QPS, "kube-api-qps", 50, "`requests` per second; negative for no limit")
	fs.Int32Var(&given.ClientConnection.Burst, "kube-api-burst", 100, "`requests` at a time")
	fs.StringVar(&given.ClientConnection.ContentType, "kube-api-content-type", "application/vnd.kubernetes.protobuf", "`content type` of what is sent to the API server")
	profiling := fs.Bool("profiling", false, "serve /debug/pprof/")
	fs.IntVarP(&f.verbosity, "v", "v", 0, "`how much` to log: 4 and more is everything")
	if err := fs.Parse(args); err != nil {
		return nil, nil, err
	}
	if fs.NArg() > 0 {
		return nil, nil, fmt.Errorf("unknown argument %q", fs.Arg(0))
	}
	if f.config == "" {
		given.EnableProfiling = profiling
		given.ClientConnection.Kubeconfig = f.kubeconfig
		config.SetDefaults(given)
		return f, given, errors.Join(config.Validate(given), f.complete(given))
	}
	conf, err := config.Read(f.config)
	if err != nil {
		return nil, nil, fmt.Errorf("--config: %w", err)
	}
	overrule(fs, &conf.LeaderElection, &given.LeaderElection)
	for _, name := range []string{"kube-api-qps", "kube-api-burst", "kube-api-content-type", "profiling"} {
		if fs.Changed(name) {
			f.unheeded = append(f.unheeded, "--"+name)
		}
	}
	if in := conf.ClientConnection.Kubeconfig; in != "" && f.kubeconfig != "" && in != f.kubeconfig {
		f.unheeded = append(f.unheeded, "--kubeconfig")
	}
	return f, conf, errors.Join(config.Validate(conf), f.complete(conf))
}

// overrule lets the flags of the election that were given stand above the file, as
// upstream does: a replica is tried out by itself with --leader-elect=false.
func overrule(fs *pflag.FlagSet, file, given *componentv1alpha1.LeaderElectionConfiguration) {
	for name, set := range map[string]func(){
		"leader-elect":                    func() { file.LeaderElect = given.LeaderElect },
		"leader-elect-resource-namespace": func() { file.ResourceNamespace = given.ResourceNamespace },
		"leader-elect-resource-name":      func() { file.ResourceName = given.ResourceName },
		"leader-elect-lease-duration":     func() { file.LeaseDuration = given.LeaseDuration },
		"leader-elect-renew-deadline":     func() { file.RenewDeadline = given.RenewDeadline },
		"leader-elect-retry-period":       func() { file.RetryPeriod = given.RetryPeriod },
	} {
		if fs.Changed(name) {
			set()
		}
	}
}

// complete derives what was left out, and refuses what does not fit together.
func (f *flags) complete(conf *config.Config) error {
	kubeconfig := conf.ClientConnection.Kubeconfig
	switch {
	case kubeconfig == "" && f.kubeconfig != "":
		kubeconfig = f.kubeconfig
		conf.ClientConnection.Kubeconfig = kubeconfig
	case kubeconfig == "":
		return errors.New("--kubeconfig is missing: where is the API server?")
	}
	if (f.tlsCert == "") != (f.tlsKey == "") {
		return errors.New("--tls-cert-file and --tls-private-key-file are given both, or neither")
	}
	for _, path := range []*string{&f.authentication, &f.authorization} {
		if *path == "" {
			*path = kubeconfig
		}
	}
	return nil
}

func (f *flags) logger(w io.Writer) *slog.Logger {
	level := slog.LevelInfo
	if f.verbosity >= 4 {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// clients makes connections to the API server that don't wait for each other.
func clients(conf *config.Config) (deciding, telling, leading kubernetes.Interface, err error) {
	made := make([]kubernetes.Interface, 3)
	for i := range made {
		rest, err := clientcmd.BuildConfigFromFlags("", conf.ClientConnection.Kubeconfig)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("kubeconfig %s: %w", conf.ClientConnection.Kubeconfig, err)
		}
		rest.UserAgent = "kube-scheduler/" + version
		rest.ContentType = conf.ClientConnection.ContentType
		rest.AcceptContentTypes = conf.ClientConnection.AcceptContentTypes
		if rest.AcceptContentTypes == "" {
			rest.AcceptContentTypes = rest.ContentType + ",application/json"
		}
		rest.QPS, rest.Burst = conf.ClientConnection.QPS, int(conf.ClientConnection.Burst)
		rest.Dial = dial // with one of its own, a client has a connection of its own
		if made[i], err = kubernetes.NewForConfig(rest); err != nil {
			return nil, nil, nil, fmt.Errorf("kubeconfig %s: %w", conf.ClientConnection.Kubeconfig, err)
		}
	}
	return made[0], made[1], made[2], nil
}

// dial connects to the API server. A hundred binds are under way at once, and leave in a
// few packets.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: 30 * time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return gather.NewConn(c), nil
}

// version is that of upstream whose behaviour is followed.
const version = "v1.37.1+groundup"

// access says who may ask this scheduler.
func (f *flags) access(reviews kubernetes.Interface) (serving.Access, error) {
	authorities, err := f.authorities()
	return serving.Access{Authorities: authorities, Reviews: reviews}, err
}

func (f *flags) authorities() (*x509.CertPool, error) {
	if f.clientCA != "" {
		pem, err := os.ReadFile(f.clientCA)
		if err != nil {
			return nil, fmt.Errorf("--client-ca-file: %w", err)
		}
		pool, err := serving.Authorities(pem)
		if err != nil {
			return nil, fmt.Errorf("--client-ca-file %s: %w", f.clientCA, err)
		}
		return pool, nil
	}
	conf, err := clientcmd.BuildConfigFromFlags("", f.authentication)
	if err != nil {
		return nil, fmt.Errorf("--authentication-kubeconfig: %w", err)
	}
	if err := rest.LoadTLSFiles(conf); err != nil {
		return nil, fmt.Errorf("--authentication-kubeconfig: %w", err)
	}
	if len(conf.CAData) == 0 {
		return nil, nil // over plain HTTP nobody has an authority
	}
	return serving.Authorities(conf.CAData)
}
