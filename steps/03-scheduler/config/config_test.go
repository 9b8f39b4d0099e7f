package config

import (
	"strings"
	"testing"

	configv1 "k8s.io/kube-scheduler/config/v1"
)

const head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"

func TestDefaults(t *testing.T) {
	c, err := Decode([]byte(head))
	if err != nil {
		t.Fatal(err)
	}
	p := c.Profiles[0]
	if *p.SchedulerName != "default-scheduler" || *c.Parallelism != 16 || *c.PodInitialBackoffSeconds != 1 || *c.PodMaxBackoffSeconds != 10 ||
		c.ClientConnection.QPS != 50 || c.ClientConnection.Burst != 100 || c.ClientConnection.ContentType != "application/vnd.kubernetes.protobuf" ||
		!*c.LeaderElection.LeaderElect || c.LeaderElection.ResourceName != "kube-scheduler" || c.LeaderElection.ResourceLock != "leases" {
		t.Errorf("got %+v", c)
	}
	if args := Args(&p, "NodeResourcesFit").(*configv1.NodeResourcesFitArgs); args.ScoringStrategy.Type != configv1.LeastAllocated || len(args.ScoringStrategy.Resources) != 2 {
		t.Errorf("got %+v", args.ScoringStrategy)
	}
	if got := Args(&p, "NodePorts"); got != nil {
		t.Errorf("got arguments %v of a plugin that takes none", got)
	}
}

func TestPluginsAreMerged(t *testing.T) {
	for _, c := range []struct{ name, set, want string }{
		{"nothing said", "{}", "SchedulingGates PrioritySort NodeName NodeUnschedulable TaintToleration:3 NodeAffinity:2 NodePorts NodeResourcesFit:1 " +
			"PodTopologySpread:2 InterPodAffinity:2 NodeResourcesBalancedAllocation:1 ImageLocality:1 DefaultPreemption DefaultBinder"},
		{"none but these", "{disabled: [{name: '*'}], enabled: [{name: DefaultBinder}, {name: NodeName, weight: 7}]}", "DefaultBinder NodeName:7"},
		{"another weight keeps the place", "{disabled: [{name: SchedulingGates}, {name: NodeName}, {name: NodePorts}, {name: PodTopologySpread}, {name: InterPodAffinity}], enabled: [{name: Mine}, {name: NodeAffinity, weight: 9}]}",
			"PrioritySort NodeUnschedulable TaintToleration:3 NodeAffinity:9 NodeResourcesFit:1 NodeResourcesBalancedAllocation:1 ImageLocality:1 DefaultPreemption DefaultBinder Mine"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf, err := Decode([]byte(head + "profiles: [{plugins: {multiPoint: " + c.set + "}}]"))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range conf.Profiles[0].Plugins.MultiPoint.Enabled {
				name := p.Name
				if p.Weight != nil {
					name += ":" + string(rune('0'+*p.Weight))
				}
				got = append(got, name)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " "), c.want)
			}
		})
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", " \n", "the file is empty"},
		{"no kind", "a: b", "Object 'Kind' is missing"},
		{"another kind", "apiVersion: v1\nkind: Pod", `no kind "Pod" is registered for version "v1"`},
		{"arguments alone", "apiVersion: kubescheduler.config.k8s.io/v1\nkind: NodeAffinityArgs", "couldn't decode as KubeSchedulerConfiguration"},
		{"old version", "apiVersion: kubescheduler.config.k8s.io/v1beta3\nkind: KubeSchedulerConfiguration", "v1beta3"},
		{"unknown field", head + "percentage: 3", `strict decoding error: unknown field "percentage"`},
		{"unknown field of arguments", head + "profiles: [{pluginConfig: [{name: InterPodAffinity, args: {hard: 3}}]}]",
			`decoding .profiles[0].pluginConfig[0]: strict decoding error: decoding args for plugin InterPodAffinity: strict decoding error: unknown field "hard"`},
		{"twice", head + "parallelism: 1\nparallelism: 2", `key "parallelism" already set in map`},
		{"parallelism", head + "parallelism: 0", "parallelism: Invalid value: 0: should be an integer value greater than zero"},
		{"percentage", head + "percentageOfNodesToScore: 101", "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]"},
		{"percentage of a profile", head + "profiles: [{percentageOfNodesToScore: -1}]", "profiles[0].percentageOfNodesToScore: Invalid value: -1: not in valid range [0-100]"},
		{"initial back-off", head + "podInitialBackoffSeconds: 0", "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0"},
		{"maximum back-off", head + "podInitialBackoffSeconds: 20", "podMaxBackoffSeconds: Invalid value: 10: must be greater than or equal to PodInitialBackoffSeconds"},
		{"name missing", head + "profiles: [{schedulerName: a}, {}]", "profiles[1].schedulerName: Required value"},
		{"name twice", head + "profiles: [{schedulerName: a}, {schedulerName: a}]", `profiles[1].schedulerName: Duplicate value: "profiles[0].schedulerName"`},
		{"queue sorts", head + "profiles: [{schedulerName: a}, {schedulerName: b, plugins: {queueSort: {enabled: [{name: Mine}]}}}]", "must be the same for all profiles"},
		{"lock", head + "leaderElection: {resourceLock: endpoints}", `leaderElection.resourceLock: Invalid value: "endpoints": resourceLock value must be "leases"`},
		{"lease", head + "leaderElection: {leaseDuration: 1s}", "leaderElection.leaseDuration: Invalid value: \"10s\": must be greater than `RenewDeadline`"},
		{"lease that ends when it is to be renewed", head + "leaderElection: {leaseDuration: 10s}", "must be greater than `RenewDeadline`"},
		{"extenders", head + "extenders: [{urlPrefix: x}]", "extenders: Forbidden"},
		{"cache later", head + "delayCacheUntilActive: true", "delayCacheUntilActive: Forbidden"},
		{"contention", head + "enableContentionProfiling: true", "enableContentionProfiling: Forbidden"},
		{"a point that is not there", head + "profiles: [{plugins: {permit: {enabled: [{name: Mine}]}}}]", "profiles[0].plugins.permit.enabled: Forbidden: plugins are not asked at this point here"},
		{"arguments of nobody", args("VolumeBinding", "{bindTimeoutSeconds: 3}"), `profiles[0].pluginConfig[0].name: Invalid value: "VolumeBinding": no plugin of this name takes arguments here`},
		{"arguments of one that takes none", args("NodePorts", "{a: b}"), `profiles[0].pluginConfig[0].name: Invalid value: "NodePorts"`},
		{"arguments twice", head + "profiles: [{pluginConfig: [{name: NodeAffinity}, {name: NodeAffinity}]}]", `profiles[0].pluginConfig[1]: Duplicate value: "NodeAffinity"`},
		{"weight of affinity", args("InterPodAffinity", "{hardPodAffinityWeight: 101}"), "profiles[0].pluginConfig[0].args.hardPodAffinityWeight: Invalid value: 101: not in valid range [0, 100]"},
		{"preemption", args("DefaultPreemption", "{minCandidateNodesPercentage: 0, minCandidateNodesAbsolute: 0}"), "cannot be zero at the same time as minCandidateNodesAbsolute"},
		{"strategy", args("NodeResourcesFit", "{scoringStrategy: {type: Best}}"), `scoringStrategy.type: Unsupported value: "Best": supported values: "LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"`},
		{"shape", args("NodeResourcesFit", "{scoringStrategy: {type: RequestedToCapacityRatio, requestedToCapacityRatio: {shape: [{utilization: 50, score: 11}, {utilization: 50, score: 0}]}}}"),
			"requestedToCapacityRatio.shape[0].score: Invalid value: 11: not in valid range [0, 10]"},
		{"no shape", args("NodeResourcesFit", "{scoringStrategy: {type: RequestedToCapacityRatio}}"), "requestedToCapacityRatio: Required value: must be specified when type is RequestedToCapacityRatio"},
		{"group", args("NodeResourcesFit", "{ignoredResourceGroups: [a/b]}"), "resource group name can't contain '/'"},
		{"balance", args("NodeResourcesBalancedAllocation", "{resources: [{name: cpu, weight: 2}]}"), "resources[0].weight: Invalid value: 2: must be 1"},
		{"spread", args("PodTopologySpread", "{defaultConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]}"), "when .defaultConstraints are not empty"},
		{"constraint", args("PodTopologySpread", "{defaultingType: List, defaultConstraints: [{maxSkew: 0, whenUnsatisfiable: Never, labelSelector: {}}]}"), "defaultConstraints[0].maxSkew: Invalid value: 0: not in valid range (0, inf)"},
		{"added affinity", args("NodeAffinity", "{addedAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: k, operator: Like}]}]}}}"), "addedAffinity.requiredDuringSchedulingIgnoredDuringExecution"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

func args(plugin, text string) string {
	return head + "profiles: [{pluginConfig: [{name: " + plugin + ", args: " + text + "}]}]"
}

func FuzzDecode(f *testing.F) {
	f.Add(head)
	f.Add(args("NodeResourcesFit", "{scoringStrategy: {type: MostAllocated}}"))
	f.Add(head + "profiles: [{plugins: {filter: {disabled: [{name: '*'}]}}}]")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := Decode([]byte(text)); err == nil && Validate(c) != nil {
			t.Errorf("accepted and invalid: %v", Validate(c))
		}
	})
}
