// Command kubelet runs the pods of one node.
//
// In this step they come from a directory of manifests, and the container
// runtime is in the same process, unless --container-runtime-endpoint names the
// socket of another one.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/network"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/admission"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/backoff"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/cgroup"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/config"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/containerlog"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/event"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/gc"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/imagepull"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/kubelet"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/lifecycle"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/machine"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/noderuntime"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource/dir"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podstatus"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/probe"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/server"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/serving"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/stats"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/downwardapi"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/emptydir"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/hostpath"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/projected"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "kubelet:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var flags config.Flags
	fs := pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
	flags.Add(fs)
	if err := fs.Parse(args); err != nil {
		return err
	}
	log := flags.Logger(os.Stderr)
	conf, warnings, err := config.Load(flags.Config)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		log.Warn("configuration", "field", w)
	}
	flags.Apply(conf)

	// The machine, and the runtime on it.
	node, ids, err := machine.Node(conf, flags)
	if err != nil {
		return err
	}
	log = log.With("node", node.Name)
	runtime, err := noderuntime.Open(ctx, conf, flags, func() (network.Network, error) {
		return noderuntime.Network(flags.Network, conf.PodCIDR, filepath.Join(flags.RuntimeState, "bridge"), log)
	}, log)
	if err != nil {
		return err
	}
	if node.NoSeccomp, err = runtime.LacksSeccomp(ctx); err != nil {
		return err
	}
	if node.NoSeccomp && node.SeccompDefault {
		log.Warn("configuration", "field", "seccompDefault: has no effect: the container runtime was built without libseccomp")
	}
	cgroups, err := cgroup.New(cgroup.Config{Root: conf.CgroupRoot, Allocatable: node.Allocatable,
		CPUQuota: node.CPUCFSQuota, QuotaPeriod: node.CPUCFSQuotaPeriod, PodPids: *conf.PodPidsLimit})
	if err != nil {
		return err
	}
	volumes := volume.NewManager(volume.Config{RootDir: flags.RootDir, Log: log, Plugins: []volume.Plugin{
		emptydir.Plugin{Memory: node.Allocatable.Memory().Value()}, // begins empty, ends with the pod
		hostpath.Plugin{}, // a path of the node
		downwardapi.Plugin{Allocatable: node.Allocatable},                                                   // the pod's own fields
		projected.Plugin{Sources: []projected.Source{projected.DownwardAPI{Allocatable: node.Allocatable}}}, // several sources in one
	}})

	// Who is told.
	metrics, probeMetrics := prometheus.NewRegistry(), prometheus.NewRegistry()
	ring := &event.Ring{}
	events := event.Recorders{event.Log{Logger: log}, ring}
	statuses := podstatus.Sinks{podstatus.NewLog(log), server.NewPodMetrics(metrics)}

	// The kubelet.
	logs := &containerlog.Keeper{Runtime: runtime, Links: "/var/log/containers", Limit: config.LogLimit(conf),
		Every: conf.ContainerLogMonitorInterval.Duration, Log: log}
	k := &kubelet.Kubelet{
		Node:    node,
		Sources: sources(conf, node, log),
		Runtime: runtime,
		Images:  &imagepull.Puller{Images: runtime.Images, Events: events, Parallel: config.ParallelPulls(conf)},
		Volumes: volumes,
		Cgroups: cgroups,
		IDs:     ids,
		Hooks:   lifecycle.New(runtime),
		Status:  statuses,
		Events:  events,
		Log:     log,
		Admit: func(pod *corev1.Pod, others []*corev1.Pod) *criconfig.Rejection {
			return admission.Admit(node, int(conf.MaxPods), pod, others)
		},
		Warn:    func(pod *corev1.Pod) string { return admission.Warnings(node, pod) },
		Started: logs.Started,
		Resync:  conf.SyncFrequency.Duration,
		Restart: backoff.Policy{First: backoff.Default.First, Max: conf.CrashLoopBackOff.MaxContainerRestartPeriod.Duration},
	}
	probes := probe.NewManager(probe.Config{Status: k.PodStatus, Exec: lifecycle.Exec(runtime), Event: event.Warnings(events),
		Started: time.Now(), Metrics: probeMetrics, Log: log})
	k.Probes = probes
	collector := &gc.Collector{Runtime: runtime, Knows: k.Knows, MaxDead: 1,
		Images:  gc.NewImageCollector(conf, runtime.Images, runtime, log),
		Orphans: []gc.Orphans{volumes.RemoveOrphans, gc.Cgroups(cgroups.RemoveOrphans)},
		PodsDir: filepath.Join(flags.RootDir, "pods"), LogsDir: conf.PodLogsDir, Log: log}

	if err := k.Adopt(ctx); err != nil {
		return err
	}

	// Its answers to others.
	tls, err := serving.TLS(conf, flags, node)
	if err != nil {
		return err
	}
	api, err := server.New(server.Config{
		TLS: tls, Kubelet: k, Runtime: runtime, Streaming: runtime.Streaming, Metrics: metrics, ProbeMetrics: probeMetrics, Configz: conf,
		Stats: stats.New(stats.Config{NodeName: node.Name, Runtime: runtime, Images: runtime.Images, Pods: k.Pods, Volumes: volumes.Usage,
			CgroupRoot: conf.CgroupRoot, RootDir: flags.RootDir, PodLogsDir: conf.PodLogsDir, Log: log}),
		AnonymousHealthz: *conf.Authentication.Anonymous.Enabled, PodLogsDir: conf.PodLogsDir, Log: log,
	})
	if err != nil {
		return err
	}

	group, ctx := errgroup.WithContext(ctx)
	for _, part := range []func(context.Context) error{
		runtime.Run, k.Run, probes.Run, logs.Run, collector.Run,
		func(ctx context.Context) error { return volumes.WatchLimits(ctx, 10*time.Second, k.Pods, k.Evict) },
		func(ctx context.Context) error { return serving.Run(ctx, conf, api, k.SyncLoopHealthy, ring.Events) },
	} {
		group.Go(func() error { return part(ctx) })
	}
	log.Info("kubelet runs", "manifests", conf.StaticPodPath)
	return group.Wait()
}

// sources are where pods come from.
func sources(conf *config.Configuration, node criconfig.Node, log *slog.Logger) []podsource.Source {
	var all []podsource.Source
	if conf.StaticPodPath != "" {
		all = append(all, &dir.Source{Dir: conf.StaticPodPath, NodeName: node.Name, Rescan: conf.FileCheckFrequency.Duration, Log: log})
	}
	return all
}
