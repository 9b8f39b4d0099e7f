package config

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	componentv1alpha1 "k8s.io/component-base/config/v1alpha1"
	configv1 "k8s.io/kube-scheduler/config/v1"
	"k8s.io/utils/ptr"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
)

// defaultPlugins are those that work if nobody says otherwise, with their weights.
// Upstream: pkg/scheduler/apis/config/v1/default_plugins.go.
func defaultPlugins() (all []configv1.Plugin) {
	for _, d := range plugins.Defaults {
		p := configv1.Plugin{Name: d.Name}
		if d.Weight > 0 {
			p.Weight = ptr.To(int32(d.Weight))
		}
		all = append(all, p)
	}
	return append(all, configv1.Plugin{Name: "DefaultPreemption"}, configv1.Plugin{Name: "DefaultBinder"})
}

// or fills in what was left out.
func or[T any](p **T, value T) {
	if *p == nil {
		*p = &value
	}
}

// SetDefaults fills in what is left out. Twice is as once.
func SetDefaults(c *Config) {
	or(&c.Parallelism, 16)
	or(&c.PercentageOfNodesToScore, 0)
	or(&c.PodInitialBackoffSeconds, 1)
	or(&c.PodMaxBackoffSeconds, 10)
	or(&c.EnableProfiling, false) // upstream's default is true

	if len(c.Profiles) == 0 {
		c.Profiles = make([]configv1.KubeSchedulerProfile, 1)
	}
	if len(c.Profiles) == 1 {
		or(&c.Profiles[0].SchedulerName, corev1.DefaultSchedulerName)
	}
	for i := range c.Profiles {
		setProfile(&c.Profiles[i])
	}

	l := &c.LeaderElection
	for field, value := range map[*string]string{
		&l.ResourceNamespace: configv1.SchedulerDefaultLockObjectNamespace,
		&l.ResourceName:      configv1.SchedulerDefaultLockObjectName,
		&l.ResourceLock:      "leases",

		&c.ClientConnection.ContentType: runtime.ContentTypeProtobuf,
	} {
		if *field == "" {
			*field = value
		}
	}
	componentv1alpha1.RecommendedDefaultLeaderElectionConfiguration(l)
	if c.ClientConnection.QPS == 0 {
		c.ClientConnection.QPS = 50
	}
	if c.ClientConnection.Burst == 0 {
		c.ClientConnection.Burst = 100
	}
}

func setProfile(p *configv1.KubeSchedulerProfile) {
	if p.Plugins == nil {
		p.Plugins = &configv1.Plugins{}
	}
	p.Plugins.MultiPoint = merge(defaultPlugins(), p.Plugins.MultiPoint)
	for _, args := range emptyArgs() {
		if !slices.ContainsFunc(p.PluginConfig, func(c configv1.PluginConfig) bool { return c.Name == args.plugin }) {
			args.empty.GetObjectKind().SetGroupVersionKind(configv1.SchemeGroupVersion.WithKind(args.plugin + "Args"))
			p.PluginConfig = append(p.PluginConfig, configv1.PluginConfig{Name: args.plugin, Args: runtime.RawExtension{Object: args.empty}})
		}
	}
	for _, c := range p.PluginConfig {
		setArgs(c.Args.Object)
	}
}

type pluginArgs struct {
	plugin string
	empty  runtime.Object
}

// emptyArgs are the arguments of the plugins that take some.
func emptyArgs() []pluginArgs {
	return []pluginArgs{
		{"DefaultPreemption", &configv1.DefaultPreemptionArgs{}},
		{"InterPodAffinity", &configv1.InterPodAffinityArgs{}},
		{"NodeAffinity", &configv1.NodeAffinityArgs{}},
		{"NodeResourcesBalancedAllocation", &configv1.NodeResourcesBalancedAllocationArgs{}},
		{"NodeResourcesFit", &configv1.NodeResourcesFitArgs{}},
		{"PodTopologySpread", &configv1.PodTopologySpreadArgs{}},
	}
}

func takesArgs(plugin string) bool {
	return slices.ContainsFunc(emptyArgs(), func(a pluginArgs) bool { return a.plugin == plugin })
}

// merge puts what a file says over the default plugins: those that it names again
// keep their place, with the weight that it gives; new ones come last.
func merge(defaults []configv1.Plugin, set configv1.PluginSet) configv1.PluginSet {
	var merged []configv1.Plugin
	custom := slices.Clone(set.Enabled)
	for _, p := range defaults {
		if isDisabled(set, p.Name) {
			continue
		}
		if i := slices.IndexFunc(custom, func(c configv1.Plugin) bool { return c.Name == p.Name }); i >= 0 {
			p = custom[i]
			custom = slices.Delete(custom, i, i+1)
		}
		merged = append(merged, p)
	}
	return configv1.PluginSet{Enabled: append(merged, custom...), Disabled: set.Disabled}
}

func isDisabled(set configv1.PluginSet, name string) bool {
	return slices.ContainsFunc(set.Disabled, func(p configv1.Plugin) bool { return p.Name == "*" || p.Name == name })
}

func setArgs(object runtime.Object) {
	switch args := object.(type) {
	case *configv1.DefaultPreemptionArgs:
		or(&args.MinCandidateNodesPercentage, 10)
		or(&args.MinCandidateNodesAbsolute, 100)
	case *configv1.InterPodAffinityArgs:
		or(&args.HardPodAffinityWeight, 1)
	case *configv1.PodTopologySpreadArgs:
		if args.DefaultingType == "" {
			args.DefaultingType = configv1.SystemDefaulting
		}
	case *configv1.NodeResourcesBalancedAllocationArgs:
		args.Resources = weighted(args.Resources)
	case *configv1.NodeResourcesFitArgs:
		or(&args.ScoringStrategy, configv1.ScoringStrategy{Type: configv1.LeastAllocated})
		args.ScoringStrategy.Resources = weighted(args.ScoringStrategy.Resources)
	}
}

// weighted: cpu and memory if none are named, and 1 for a weight that was left out.
func weighted(resources []configv1.ResourceSpec) []configv1.ResourceSpec {
	if len(resources) == 0 {
		return []configv1.ResourceSpec{{Name: "cpu", Weight: 1}, {Name: "memory", Weight: 1}}
	}
	for i := range resources {
		if resources[i].Weight == 0 {
			resources[i].Weight = 1
		}
	}
	return resources
}
