// Command kubelet runs the pods of one node.
//
// In this step they come from a directory of manifests and from the API server,
// which is told how the pods are, and how the node is.
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
	"k8s.io/klog/v2"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"

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

	"github.com/k8s-groundup/groundup/steps/02-apiserver/apiclient"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/apievent"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/apiobject"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/apisource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/apistatus"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/apivolume"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/envsource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/lease"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/mirror"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/nodeauth"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/nodeconfig"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/nodeshutdown"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/nodestatus"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/podtoken"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/pullsecret"
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
	var flags nodeconfig.Flags
	fs := pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
	flags.Add(fs)
	if err := fs.Parse(args); err != nil {
		return err
	}
	log := flags.Logger(os.Stderr)
	klog.SetSlogLogger(log) // what client-go has to say
	conf, warnings, err := nodeconfig.Load(flags.Config)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		log.Warn("configuration", "field", w)
	}
	if err := flags.Apply(conf); err != nil {
		return err
	}

	// The machine, and the runtime on it.
	if err := os.MkdirAll(flags.RootDir, 0o750); err != nil {
		return err
	}
	node, ids, err := machine.Node(conf, flags.Flags)
	if err != nil {
		return err
	}
	node.APIServer = true
	log = log.With("node", node.Name)
	runtime, err := noderuntime.Open(ctx, conf, flags.Flags, func() (network.Network, error) {
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
	// Only the limit of all pods together includes what evictions are to keep free.
	thresholds, err := nodestatus.ParseThresholds(conf.EvictionHard)
	if err != nil {
		return err
	}
	if node.Capacity, node.Allocatable, err = nodestatus.Resources(node, "/", thresholds); err != nil {
		return err
	}

	// The API server, and what is read from it.
	clients, err := apiclient.New(apiclient.Config{Kubeconfig: flags.Kubeconfig, Component: "kubelet",
		QPS: float32(*conf.KubeAPIQPS), Burst: int(conf.KubeAPIBurst), Patience: conf.NodeStatusUpdateFrequency.Duration})
	if err != nil {
		return err
	}
	api, k := clients.API, &kubelet.Kubelet{}
	var mirrors *mirror.Mirror
	pods := apisource.New(api, node.Name, log, func() { mirrors.Poke() })
	objects := apiobject.New(api, k.Wake)
	services := envsource.New(api)
	volumes := volume.NewManager(volume.Config{RootDir: flags.RootDir, Log: log, Plugins: []volume.Plugin{
		emptydir.Plugin{Memory: node.Allocatable.Memory().Value()}, // begins empty, ends with the pod
		hostpath.Plugin{}, // a path of the node
		downwardapi.Plugin{Allocatable: node.Allocatable}, // the pod's own fields
		apivolume.Keep(apivolume.ConfigMap{Objects: objects}, log),
		apivolume.Keep(apivolume.Secret{Objects: objects}, log),
		apivolume.Keep(projected.Plugin{Sources: []projected.Source{ // several sources in one
			projected.DownwardAPI{Allocatable: node.Allocatable},
			apivolume.Objects{Objects: objects},
			apivolume.ServiceAccountToken{Tokens: &podtoken.Tokens{Client: api.CoreV1(), Log: log}},
		}}, log),
	}})

	// Who is told.
	metrics, probeMetrics := prometheus.NewRegistry(), prometheus.NewRegistry()
	ring, sent := &event.Ring{}, apievent.New(api.CoreV1(), node.Name)
	events := event.Recorders{event.Log{Logger: log}, ring, sent}
	numbers := stats.New(stats.Config{NodeName: node.Name, Runtime: runtime, Images: runtime.Images, Pods: k.Pods, Volumes: volumes.Usage,
		CgroupRoot: conf.CgroupRoot, RootDir: flags.RootDir, PodLogsDir: conf.PodLogsDir, Log: log})
	reporter, err := nodestatus.NewReporter(ctx, conf, node, nodestatus.Parts{Nodes: clients.Heartbeat.CoreV1(), Labels: flags.NodeLabels,
		Runtime: runtime, Images: runtime.Images, Numbers: numbers, Healthy: k.SyncLoopHealthy, Event: sent.Node, Version: apiclient.Version, Log: log})
	if err != nil {
		return err
	}
	reports := apistatus.New(apistatus.Config{Pods: api.CoreV1(), Known: pods.Get, Log: log})
	statuses := podstatus.Sinks{podstatus.NewLog(log), server.NewPodMetrics(metrics), reports}
	mirrors = mirror.New(mirror.Config{Pods: api.CoreV1(), NodeName: node.Name, NodeUID: reporter.UID, Mirrors: pods.Mirrors, Made: reports.Again, Log: log})
	heartbeat := &lease.Renewer{Leases: clients.Heartbeat.CoordinationV1(), NodeName: node.Name, NodeUID: reporter.UID,
		Duration: time.Duration(conf.NodeLeaseDurationSeconds) * time.Second, Log: log}
	shutdown := &nodeshutdown.Watcher{Total: conf.ShutdownGracePeriod.Duration, Critical: conf.ShutdownGracePeriodCriticalPods.Duration,
		Pods: k.Running, End: k.End, Leave: reporter.Leave, Log: log}

	// The kubelet.
	logs := &containerlog.Keeper{Runtime: runtime, Links: "/var/log/containers", Limit: config.LogLimit(conf),
		Every: conf.ContainerLogMonitorInterval.Duration, Log: log}
	k.Node = node
	k.Sources = append(manifests(conf, node, mirrors, log), podsource.Tee(pods, objects.SetPods))
	k.Runtime = runtime
	k.Images = &imagepull.Puller{Images: runtime.Images, Events: events, Parallel: config.ParallelPulls(conf), Auth: pullsecret.Finder{Secrets: objects, Log: log}.Find}
	k.Volumes, k.Cgroups, k.IDs = volumes, cgroups, ids
	k.Hooks = lifecycle.New(runtime)
	k.Status, k.Events, k.Log = statuses, events, log
	k.Objects, k.BaseEnv = objects, services.Env
	k.Admit = func(pod *corev1.Pod, others []*corev1.Pod) *criconfig.Rejection {
		if refused := shutdown.Refuse(); refused != nil {
			return refused
		}
		if refused := reporter.Refuse(pod, kubelet.Critical(pod)); refused != nil {
			return refused
		}
		now := node
		now.Allocatable = reporter.Allocatable()
		return admission.Admit(now, int(conf.MaxPods), pod, others)
	}
	k.Misplaced = reporter.Misplaced
	k.Warn = func(pod *corev1.Pod) string { return admission.Warnings(node, pod) }
	k.Started = logs.Started
	k.Resync = conf.SyncFrequency.Duration
	k.Restart = backoff.Policy{First: backoff.Default.First, Max: conf.CrashLoopBackOff.MaxContainerRestartPeriod.Duration}
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
	tls, err := serving.TLS(conf, flags.Flags, node)
	if err != nil {
		return err
	}
	served := server.Config{
		TLS: tls, Kubelet: k, Runtime: runtime, Streaming: runtime.Streaming, Metrics: metrics, ProbeMetrics: probeMetrics, Configz: conf,
		Stats: numbers, AnonymousHealthz: *conf.Authentication.Anonymous.Enabled, PodLogsDir: conf.PodLogsDir, Log: log,
	}
	if *conf.Authentication.Webhook.Enabled {
		served.Tokens = &nodeauth.Tokens{Reviews: api.AuthenticationV1(), TTL: conf.Authentication.Webhook.CacheTTL.Duration}
	}
	if conf.Authorization.Mode == kubeletconfig.KubeletAuthorizationModeWebhook {
		served.Authorizer = &nodeauth.Access{Reviews: api.AuthorizationV1(), NodeName: node.Name, Log: log,
			Allowed: conf.Authorization.Webhook.CacheAuthorizedTTL.Duration, Denied: conf.Authorization.Webhook.CacheUnauthorizedTTL.Duration}
	}
	answers, err := server.New(served)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, part := range []func(context.Context) error{
		runtime.Run, k.Run, probes.Run, logs.Run, collector.Run,
		objects.Run, services.Run, mirrors.Run, reports.Run, sent.Run, reporter.Run, heartbeat.Run, shutdown.Run,
		func(ctx context.Context) error { return volumes.WatchLimits(ctx, 10*time.Second, k.Pods, k.Evict) },
		func(ctx context.Context) error {
			return serving.Run(ctx, conf, answers, k.SyncLoopHealthy, ring.Events)
		},
	} {
		group.Go(func() error { return part(ctx) })
	}
	log.Info("kubelet runs", "manifests", conf.StaticPodPath)
	sent.Node(corev1.EventTypeNormal, "Starting", "Starting kubelet.")
	return group.Wait()
}

// manifests is the source of static pods, which have mirrors.
func manifests(conf *config.Configuration, node criconfig.Node, mirrors *mirror.Mirror, log *slog.Logger) []podsource.Source {
	if conf.StaticPodPath == "" {
		return nil
	}
	return []podsource.Source{mirrors.Watch(&dir.Source{Dir: conf.StaticPodPath, NodeName: node.Name, Rescan: conf.FileCheckFrequency.Duration, Log: log})}
}
