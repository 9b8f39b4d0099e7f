package schedulertest

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	upstream "k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultbinder"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultpreemption"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/imagelocality"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/interpodaffinity"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodeaffinity"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodename"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodeports"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/noderesources"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodeunschedulable"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/podtopologyspread"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/queuesort"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/tainttoleration"
	upstreamruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
)

// features are upstream's defaults, less devices, which ask for a manager of
// their own, and less preemption in the background, which we want to watch.
func features() feature.Features {
	f := feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate)
	f.EnableDRAExtendedResource = false
	f.EnableAsyncPreemption = false
	return f
}

// registry makes upstream's plugins.
func registry() upstreamruntime.Registry {
	f := features()
	return upstreamruntime.Registry{
		"NodeName":                        upstreamruntime.FactoryAdapter(f, nodename.New),
		"NodeUnschedulable":               upstreamruntime.FactoryAdapter(f, nodeunschedulable.New),
		"TaintToleration":                 upstreamruntime.FactoryAdapter(f, tainttoleration.New),
		"NodeAffinity":                    upstreamruntime.FactoryAdapter(f, nodeaffinity.New),
		"NodePorts":                       upstreamruntime.FactoryAdapter(f, nodeports.New),
		"NodeResourcesFit":                upstreamruntime.FactoryAdapter(f, noderesources.NewFit),
		"PodTopologySpread":               upstreamruntime.FactoryAdapter(f, podtopologyspread.New),
		"InterPodAffinity":                upstreamruntime.FactoryAdapter(f, interpodaffinity.New),
		"NodeResourcesBalancedAllocation": upstreamruntime.FactoryAdapter(f, noderesources.NewBalancedAllocation),
		"ImageLocality":                   imagelocality.New,
		"PrioritySort":                    queuesort.New,
		"DefaultBinder":                   defaultbinder.New,
	}
}

// A judge is upstream's framework in a world.
type judge struct {
	upstream.Framework
	nodes      map[string]fwk.NodeInfo
	preemption *defaultpreemption.DefaultPreemption
	plugins    map[string]fwk.Plugin
}

// newJudge sets upstream's framework up with the weights and arguments of a
// profile. Nothing runs: informers are filled by hand.
func newJudge(t *testing.T, ctx context.Context, w *world, profile profile) *judge {
	t.Helper()
	metrics.Register()
	client := fake.NewClientset()
	factory := informers.NewSharedInformerFactory(client, 0)
	fill := func(indexer interface{ Add(any) error }, object runtime.Object) {
		if err := indexer.Add(object); err != nil {
			t.Fatal(err)
		}
	}
	for _, namespace := range w.namespaces {
		fill(factory.Core().V1().Namespaces().Informer().GetIndexer(), namespace)
	}
	for _, service := range w.services {
		fill(factory.Core().V1().Services().Informer().GetIndexer(), service)
	}
	for _, budget := range w.budgets {
		fill(factory.Policy().V1().PodDisruptionBudgets().Informer().GetIndexer(), budget)
	}
	fill(factory.Core().V1().Pods().Informer().GetIndexer(), w.pod)

	snapshot := cache.NewSnapshot(w.placed, w.nodes)
	options := []upstreamruntime.Option{
		upstreamruntime.WithClientSet(client),
		upstreamruntime.WithInformerFactory(factory),
		upstreamruntime.WithSnapshotSharedLister(snapshot),
		upstreamruntime.WithMutableSnapshotLister(snapshot),
		upstreamruntime.WithPodNominator(nominator(w.nominated)),
		upstreamruntime.WithParallelism(1),
		upstreamruntime.WithLogger(klog.Logger{}),
	}
	settings := &config.KubeSchedulerProfile{SchedulerName: "judge", Plugins: &config.Plugins{}}
	settings.Plugins.QueueSort.Enabled = []config.Plugin{{Name: "PrioritySort"}}
	settings.Plugins.Bind.Enabled = []config.Plugin{{Name: "DefaultBinder"}}
	for _, p := range profile {
		settings.Plugins.MultiPoint.Enabled = append(settings.Plugins.MultiPoint.Enabled, config.Plugin{Name: p.name, Weight: int32(p.weight)})
		if p.args != nil {
			settings.PluginConfig = append(settings.PluginConfig, config.PluginConfig{Name: p.name, Args: internal(t, p.args)})
		}
	}
	framework, err := upstreamruntime.NewFramework(ctx, registry(), settings, options...)
	if err != nil {
		t.Fatal(err)
	}
	j := &judge{Framework: framework, nodes: map[string]fwk.NodeInfo{}, plugins: map[string]fwk.Plugin{}}
	infos, err := snapshot.NodeInfos().List()
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range infos {
		j.nodes[info.Node().Name] = info
	}
	for _, p := range profile {
		j.plugins[p.name], err = registry()[p.name](ctx, internalOrDefault(t, p), framework)
		if err != nil {
			t.Fatal(err)
		}
	}
	args := &config.DefaultPreemptionArgs{MinCandidateNodesPercentage: 100, MinCandidateNodesAbsolute: 100}
	if j.preemption, err = defaultpreemption.New(ctx, args, framework, features()); err != nil {
		t.Fatal(err)
	}
	return j
}

// internal defaults and converts arguments as upstream does on reading a file.
func internal(t *testing.T, args runtime.Object) runtime.Object {
	t.Helper()
	args = args.DeepCopyObject()
	scheme.Scheme.Default(args)
	kinds, _, err := scheme.Scheme.ObjectKinds(args)
	if err != nil {
		t.Fatal(err)
	}
	out, err := scheme.Scheme.New(config.SchemeGroupVersion.WithKind(kinds[0].Kind))
	if err != nil {
		t.Fatal(err)
	}
	if err := scheme.Scheme.Convert(args, out, nil); err != nil {
		t.Fatal(err)
	}
	return out
}

func internalOrDefault(t *testing.T, p plugin) runtime.Object {
	if p.args == nil {
		return nil
	}
	return internal(t, p.args)
}

// nominator has nominated pods, and takes no others.
type nominator map[string][]*corev1.Pod

func (nominator) AddNominatedPod(klog.Logger, fwk.PodInfo, *fwk.NominatingInfo) {}
func (nominator) DeleteNominatedPodIfExists(*corev1.Pod)                        {}
func (nominator) UpdateNominatedPod(klog.Logger, *corev1.Pod, fwk.PodInfo)      {}

func (n nominator) NominatedPodsForNode(node string) []fwk.PodInfo {
	var infos []fwk.PodInfo
	for _, pod := range n[node] {
		info, err := upstream.NewPodInfo(pod)
		if err != nil {
			panic(fmt.Sprintf("the generator made a pod that cannot be parsed: %v", err))
		}
		infos = append(infos, info)
	}
	return infos
}
