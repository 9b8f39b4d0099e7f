package decide_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework/frameworktest"
)

// What is known must not change what is decided: the same pods find their nodes in
// two clusters, in one of them with Known and in the other without. Pods of a few
// kinds come in runs, and nodes change, come and go in between.
func TestADecisionIsTheSameWithWhatIsKnown(t *testing.T) {
	kinds := []string{
		`spec: {containers: [{name: c, resources: {requests: {cpu: 100m, memory: 64Mi}}}]}`,
		`spec: {containers: [{name: c, resources: {requests: {cpu: 100m, memory: 65Mi}}}]}`,
		`spec: {containers: [{name: c, resources: {requests: {example.com/gpu: 1}, limits: {example.com/gpu: 1}}}]}`,
		`spec: {containers: [{name: c}]}`,
		`spec: {containers: [{name: c, resources: {requests: {cpu: 100m, memory: 64Mi}}}, {name: d}]}`,
		`{metadata: {labels: {app: z}}, spec: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: z}}}], containers: [{name: c}]}}`,
		`spec: {tolerations: [{key: a, operator: Exists}], containers: [{name: c}]}`,
		`spec: {tolerations: [{key: node.kubernetes.io/unschedulable, operator: Exists}], containers: [{name: c}]}`,
		`spec: {nodeSelector: {disk: ssd}, containers: [{name: c}]}`,
		`spec: {affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 5, preference: {matchExpressions: [{key: disk, operator: In, values: [ssd]}]}}]}}, containers: [{name: c}]}`,
		`spec: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [node-3]}]}]}}}, containers: [{name: c}]}`,
		`spec: {containers: [{name: c, ports: [{containerPort: 80, hostPort: 80}]}]}`,
		`{metadata: {labels: {app: x}}, spec: {affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: x}}}]}}, containers: [{name: c}]}}`,
		`{metadata: {labels: {app: y}}, spec: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: y}}}], containers: [{name: c}]}}`,
	}
	objects := []string{
		`{metadata: {labels: {zone: a}}, status: {allocatable: {cpu: 2, memory: 4Gi, pods: 20}}}`,
		`{metadata: {labels: {zone: b, disk: ssd}}, status: {allocatable: {cpu: 2, memory: 4Gi, pods: 20, example.com/gpu: 2}}}`,
		`{metadata: {labels: {zone: b}}, spec: {taints: [{key: a, effect: NoSchedule}]}, status: {allocatable: {cpu: 2, memory: 4Gi, pods: 20}}}`,
		`{metadata: {labels: {zone: c}}, spec: {taints: [{key: b, effect: PreferNoSchedule}]}, status: {allocatable: {cpu: 1, memory: 1Gi, pods: 5}}}`,
		`{metadata: {labels: {zone: c}}, spec: {unschedulable: true}, status: {allocatable: {cpu: 2, memory: 4Gi, pods: 20}}}`,
	}
	for seed := range uint64(15) {
		random := rand.New(rand.NewPCG(seed, 7))
		profile, snapshot := defaultProfile(t), frameworktest.Snapshot()
		node := func() {
			snapshot.Update([]*framework.Node{frameworktest.Node(t, fmt.Sprintf("node-%d", random.IntN(12)), objects[random.IntN(len(objects))])})
		}
		for range 12 {
			node()
		}
		known := &decide.Known{}
		start, kind := 0, 0
		for i := range 150 {
			if random.IntN(8) == 0 {
				kind = random.IntN(len(kinds))
			}
			switch random.IntN(25) {
			case 0:
				node()
			case 1:
				snapshot.Update(nil, fmt.Sprintf("node-%d", random.IntN(12)))
			case 2:
				nominated := frameworktest.Pod(t, "nominated", `spec: {priority: 10, containers: [{name: c, resources: {requests: {cpu: 1}}}]}`)
				snapshot.Nominated = map[string][]*framework.Pod{fmt.Sprintf("node-%d", random.IntN(12)): {nominated}}
			case 3:
				snapshot.Nominated = nil
			}
			pod, tie := frameworktest.Pod(t, fmt.Sprintf("pod-%d", i), kinds[kind]), random.Uint64()
			decision := func(known *decide.Known) *decide.Decision {
				return decide.Decide(snapshot, pod, profile, decide.From{Start: start, Rand: rand.New(rand.NewPCG(tie, 1)), Known: known})
			}
			want, got := decision(nil), decision(known)
			if diff := cmp.Diff(outcome(want), outcome(got)); diff != "" {
				t.Fatalf("seed %d, pod %d %s (-without +with)\n%s", seed, i, kinds[kind], diff)
			}
			start += got.Looked
			if got.Err == nil {
				grown := snapshot.Node(got.Node).Clone()
				grown.AddPod(pod)
				snapshot.Update([]*framework.Node{grown})
			}
		}
	}
}

// outcome is what there is of a decision to compare.
func outcome(d *decide.Decision) (lines []string) {
	lines = append(lines, fmt.Sprintf("node %q of %d, looked at %d, %v, totals %v", d.Node, d.Total, d.Looked, d.Err, d.Totals))
	for _, n := range d.Feasible {
		lines = append(lines, "feasible "+n.Name)
	}
	for _, r := range d.Rejections {
		lines = append(lines, fmt.Sprintf("%s: %s says no to %s", r.Plugin, r.Status.Message(), r.Node.Name))
	}
	for _, c := range d.Scores {
		lines = append(lines, fmt.Sprintf("%s × %d: %v", c.Plugin, c.Weight, c.Scores))
	}
	return lines
}
