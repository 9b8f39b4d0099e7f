// Command kube-scheduler gives pods their nodes.
//
// It needs a kubeconfig and nothing else; with upstream's flags, and upstream's file
// of the kind KubeSchedulerConfiguration, it is set up as upstream's is.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/health"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/explain"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/metrics"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/profile"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/recorder"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/scheduler"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/serving"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	klog.SetSlogLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))) // client-go's
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "kube-scheduler:", err)
		os.Exit(1)
	}
}

// heapGrowth is by how many percent the heap grows before garbage is collected, if GOGC
// does not say it. What is watched and sent is garbage at once, and the cache, which is
// looked at each time, is small.
const heapGrowth = 200

func run(ctx context.Context, args []string, stderr io.Writer) error {
	f, conf, err := parse(args)
	if err != nil {
		return err
	}
	log := f.logger(stderr)
	if len(f.unheeded) > 0 {
		log.Warn("flags are not looked at: the file of --config says these things", "flags", f.unheeded)
	}

	// The API server: one connection for what is decided, one for what is told, and
	// one for the lease, which nothing may keep waiting.
	deciding, others, leading, err := clients(conf)
	if err != nil {
		return err
	}

	// Who decides about which pods.
	informers := scheduler.Informers(deciding)
	lists, err := scheduler.NewLists(informers)
	if err != nil {
		return err
	}
	profiles, err := profile.All(conf, lists.Together)
	if err != nil {
		return err
	}
	watching := &observer{}
	s := scheduler.New(scheduler.Config{
		Client: deciding, Informers: informers, Lists: lists, Profiles: profiles, Observer: watching,
		InitialBackoff: time.Duration(*conf.PodInitialBackoffSeconds) * time.Second,
		MaxBackoff:     time.Duration(*conf.PodMaxBackoffSeconds) * time.Second,
		Writes:         writes,
		Clock:          clock.RealClock{},
		Log:            log,
	})
	watching.Metrics = metrics.New(s.State)
	news := recorder.New(recorder.Config{Sink: recorder.To(others), Scheme: scheme.Scheme, Busy: s.Busy, Log: log})
	for name, p := range profiles {
		p.Recorder = news.Of(name)
	}

	// Who may ask.
	access, err := f.access(others)
	if err != nil {
		return err
	}
	election, err := newElection(conf, leading, log)
	if err != nil {
		return err
	}
	handler := serving.Handlers{
		Checks: []health.Check{
			health.Ping,
			{Name: "leaderElection", Ask: func(context.Context) error { return election.check() }},
			{Name: "informer-sync", Ask: func(context.Context) error { return s.Ready() }, Ready: true},
		},
		Log: log, Metrics: watching.Metrics.Handler(), Resources: metrics.Resources(s.Pods), Config: conf, Why: &watching.Decisions, Profiling: *conf.EnableProfiling,
	}.Handler(access)

	group, ctx := errgroup.WithContext(ctx)
	if f.port != 0 {
		certificate, err := serving.TLS(f.tlsCert, f.tlsKey, f.bind)
		if err != nil {
			return err
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(f.bind, strconv.Itoa(f.port)))
		if err != nil {
			return err
		}
		log.Info("listening", "address", listener.Addr().String())
		group.Go(func() error { return serving.Run(ctx, listener, certificate, handler, log) })
	}
	group.Go(func() error { return s.Watch(ctx) })
	telling, told := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error { return news.Run(telling) })
	group.Go(func() error {
		defer told() // there is no news without a scheduler
		return election.run(ctx, s.Run)
	})
	return group.Wait()
}

// writes is how many requests a scheduler has under way at once. The API server
// serves two hundred, each user in his turn, and there are others. The more there are,
// the more leave, and are written to disk, together.
const writes = 180

// An observer counts what happens, and remembers why.
type observer struct {
	*metrics.Metrics
	explain.Decisions
}

// Decided implements scheduler.Observer.
func (o *observer) Decided(d *decide.Decision, took time.Duration) {
	o.Decisions.Decided(d)
	o.Metrics.Decided(d, took)
}
