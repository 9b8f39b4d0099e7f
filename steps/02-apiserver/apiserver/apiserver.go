// Package apiserver puts the server together: flags, the store, who may come in,
// the table of resources, and what runs beside the requests.
//
// It is a package, and not a main, for the sake of later steps: their kube-apiserver
// is this one with more rows.
package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/addressing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/admission"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/bootstrap"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/emptying"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/gather"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/openapi"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/rows"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/server"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
)

// An API is what a server serves: the rows, and the Go types of their objects.
type API struct {
	Rows   []resource.Resource
	Scheme *runtime.Scheme
}

// Main is kube-apiserver with its arguments. It serves until the process is told
// to end (SIGINT or SIGTERM), and returns the exit code.
func Main(api API, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	var err error
	if len(args) > 0 && args[0] == "etcd" {
		err = etcdCommand(ctx, args[1:], os.Stderr)
	} else {
		err = api.serve(ctx, args, os.Stderr)
	}
	if err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "kube-apiserver:", err)
		return 1
	}
	return 0
}

// heapGrowth is by how many percent the heap grows before garbage is collected,
// if GOGC does not say it. A create makes fifty times as much garbage as it stores, and
// the whole cache is looked at each time: memory is cheaper here than the processor.
const heapGrowth = 300

func (api API) serve(ctx context.Context, args []string, stderr io.Writer) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	f, err := parse(args)
	if err != nil {
		return err
	}
	log := f.logger(stderr)

	// Where it is kept.
	scheme, table := api.Scheme, api.Rows
	data, err := openStore(ctx, f, log)
	if err != nil {
		return err
	}
	defer data.close()

	// Who may come in, and what they may do.
	safe, err := secure(f)
	if err != nil {
		return err
	}
	table = safe.complete(table)

	// The server.
	watching, err := observe(f, data, log)
	if err != nil {
		return err
	}
	defer watching.close()
	handlers := map[string]http.Handler{
		"/metrics":  watching.metrics.Handler(),
		"/openapi/": openapi.New(table, scheme, version.GitVersion).Handler(),

		customResources: http.HandlerFunc(noCustomResources),
	}
	for path, h := range safe.discovery {
		handlers[path] = h
	}
	f.profile(handlers)
	ledger := &addressing.Ledger{Store: data.store}
	s, err := server.New(server.Config{
		Rows: table, Scheme: scheme, Codecs: rows.Codecs(scheme), Store: data.store,
		TypeConverter: func() managedfields.TypeConverter { return applyconfigurations.NewTypeConverter(scheme) },
		Admission:     append(admission.All(), &addressing.Allocator{Addresses: f.services, Ports: addressing.DefaultPorts, Ledger: ledger}),
		Authenticator: safe.authenticator,
		Authorizer:    safe.authorizer,
		Limit:         f.limit(watching.metrics),
		Observers:     watching.observers,
		Handlers:      handlers,
		Checks:        data.checks,
		Version:       version,
		Address:       net.JoinHostPort(f.advertise.String(), strconv.Itoa(f.port)),
		Timeout:       f.requestTimeout,
		Log:           log,
	})
	if err != nil {
		return err
	}
	safe.start(s.Objects())
	watching.count(s, table)

	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(f.bind.String(), strconv.Itoa(f.port)))
	if err != nil {
		return err
	}
	log.Info("listening", "address", listener.Addr().String())

	// All that runs beside the requests.
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	group, ctx := errgroup.WithContext(ctx)
	defer stopBackground()
	keep := func(run func(context.Context) error) {
		group.Go(func() error { return run(background) })
	}
	keep(func(ctx context.Context) error { s.Run(ctx); return nil })
	keep(func(ctx context.Context) error {
		tick := time.NewTicker(f.compaction)
		defer tick.Stop()
		storage.KeepHistory(ctx, data.store, tick.C, func(err error) { log.Warn("the store keeps its history", "error", err) })
		return nil
	})
	keep(func(ctx context.Context) error {
		tick := time.NewTicker(time.Minute)
		defer tick.Stop()
		ledger.Run(ctx, tick.C, func(err error) { log.Warn("the ledger of addresses keeps old pages", "error", err) })
		return nil
	})
	keep(func(ctx context.Context) error { return s.Follow(ctx, pods, safe.graph) })
	keep(func(ctx context.Context) error { return expireEvents(ctx, s, f.eventTTL) })
	keep(func(ctx context.Context) error { return f.bootstrap(ctx, s, safe.rootCA, log) })
	keep(func(ctx context.Context) error {
		tick := time.NewTicker(10 * time.Second) // as upstream
		defer tick.Stop()
		bootstrap.Keep(ctx, s.Objects(), f.cluster(safe.rootCA), tick.C, func(err error) { log.Warn("the first objects of the cluster", "error", err) })
		return nil
	})
	emptier := &emptying.Emptier{Objects: emptying.Of(s.Objects(), s.Registry), Follow: s, Rows: table, Log: log}
	keep(emptier.Run)
	keep(func(context.Context) error { // the schemas are large: have them before somebody waits
		s.Prepare()
		return nil
	})
	group.Go(func() error { return data.failed(ctx) })
	group.Go(func() error {
		defer stopBackground()
		return listen(ctx, gather.NewListener(listener), s, safe.tls, log)
	})
	return group.Wait()
}

var (
	pods   = schema.GroupResource{Resource: "pods"}
	events = schema.GroupResource{Resource: "events"}
)

// farewell is how long requests that are being served have when the server stops.
const farewell = 10 * time.Second

// listen serves until ctx is done, and then ends: watches at once, so that their
// clients go elsewhere, and the other requests when they are done.
func listen(ctx context.Context, l net.Listener, s *server.Server, conf *tls.Config, log *slog.Logger) error {
	h := &http.Server{Handler: s.Handler(), TLSConfig: conf, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 3 * time.Minute,
		HTTP2:          &http.HTTP2Config{WriteByteTimeout: time.Minute}, // of a client that is there no more, however many watches it has
		MaxHeaderBytes: 1 << 20, ConnContext: withConnection, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	ended := make(chan error, 1)
	go func() { ended <- h.ServeTLS(l, "", "") }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping")
	s.Drain()
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	err := h.Shutdown(wait)
	if errors.Is(err, context.DeadlineExceeded) {
		err = h.Close()
	}
	<-ended
	return err
}

// expireEvents removes events that are older than they are worth.
func expireEvents(ctx context.Context, s *server.Server, life time.Duration) error {
	const often = time.Minute
	tick := time.NewTicker(often)
	defer tick.Stop()
	s.Registry(events).Expire(ctx, tick.C, lastSeen, life)
	return nil
}

func lastSeen(obj resource.Object) time.Time {
	e := obj.(*corev1.Event)
	last := e.CreationTimestamp.Time
	if e.LastTimestamp.After(last) {
		last = e.LastTimestamp.Time
	}
	if e.Series != nil && e.Series.LastObservedTime.After(last) {
		last = e.Series.LastObservedTime.Time
	}
	return last
}

func (f *flags) cluster(rootCA string) bootstrap.Config {
	return bootstrap.Config{Services: f.services, Address: f.advertise, Port: f.port, RootCA: rootCA}
}

// bootstrap makes what every cluster has, and keeps it in every namespace.
func (f *flags) bootstrap(ctx context.Context, s *server.Server, rootCA string, log *slog.Logger) error {
	for {
		err := bootstrap.Ensure(ctx, s.Objects(), f.cluster(rootCA))
		if err == nil || ctx.Err() != nil {
			break
		}
		log.Warn("the first objects of the cluster can't be made yet", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	n := &bootstrap.Namespaces{Server: s.Objects(), Follow: s, RootCA: rootCA, Log: log}
	return n.Run(ctx)
}
