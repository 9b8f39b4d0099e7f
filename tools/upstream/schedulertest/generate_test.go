package schedulertest

import (
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A world is a cluster, and a pod that looks for a node in it.
type world struct {
	*rand.Rand
	pods int // made so far

	namespaces []*corev1.Namespace
	services   []*corev1.Service
	nodes      []*corev1.Node
	placed     []*corev1.Pod
	nominated  map[string][]*corev1.Pod
	budgets    []*policyv1.PodDisruptionBudget
	pod        *corev1.Pod
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// newWorld makes the world of a number.
func newWorld(number uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(number, 3)), nominated: map[string][]*corev1.Pod{}}
	for i, name := range []string{"red", "green", "blue"} {
		labels := map[string]string{"kubernetes.io/metadata.name": name}
		if i > 0 {
			labels["team"] = pick(w, "x", "y")
		}
		w.namespaces = append(w.namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	}
	for i := range w.IntN(3) {
		w.services = append(w.services, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("service-", i), Namespace: w.namespace()},
			Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": w.app()}},
		})
	}
	for i := range 1 + w.IntN(9) {
		w.nodes = append(w.nodes, w.node(i))
	}
	for range w.IntN(5 * len(w.nodes)) {
		pod := w.newPod()
		pod.Spec.NodeName = pick(w, w.nodes...).Name
		w.freePorts(pod)
		started := metav1.NewTime(epoch.Add(time.Duration(w.pods) * time.Second))
		pod.Status.StartTime = &started
		if w.chance(5) {
			pod.DeletionTimestamp = &started
		}
		w.placed = append(w.placed, pod)
	}
	if w.chance(20) {
		for range 1 + w.IntN(2) {
			pod, node := w.newPod(), pick(w, w.nodes...).Name
			pod.Status.NominatedNodeName = node
			w.nominated[node] = append(w.nominated[node], pod)
		}
	}
	for i := range w.IntN(6) {
		w.budgets = append(w.budgets, w.budget(i))
	}
	w.pod = w.newPod()
	if w.chance(70) {
		highest := int32(1000)
		w.pod.Spec.Priority = &highest
	}
	return w
}

// chance is true that many times in a hundred.
func (w *world) chance(percent int) bool { return w.IntN(100) < percent }

func pick[T any](w *world, from ...T) T { return from[w.IntN(len(from))] }

func (w *world) namespace() string { return pick(w, "red", "green", "blue") }
func (w *world) app() string       { return pick(w, "a", "b", "c") }
func (w *world) zone() string      { return pick(w, "zone-1", "zone-2", "zone-3") }

func (w *world) nodeName() string { return fmt.Sprint("node-", w.IntN(9)) }

var images = []struct {
	name string
	size int64
}{{"img/one:v1", 30 << 20}, {"img/two:latest", 700 << 20}, {"registry:5000/img/three:v3", 1500 << 20}, {"img/four:latest", 5 << 20}}

func (w *world) node(i int) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:   fmt.Sprint("node-", i),
		Labels: map[string]string{"cores": fmt.Sprint(1 + w.IntN(8))},
	}}
	label := func(percent int, key, value string) {
		if w.chance(percent) {
			node.Labels[key] = value
		}
	}
	label(95, corev1.LabelHostname, node.Name)
	label(85, corev1.LabelTopologyZone, w.zone())
	label(30, "disk", pick(w, "ssd", "hdd"))
	for range w.IntN(3) {
		if w.chance(50) {
			node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{
				Key: pick(w, "k1", "k2"), Value: pick(w, "", "v1", "v2"),
				Effect: pick(w, corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectPreferNoSchedule),
			})
		}
	}
	node.Spec.Unschedulable = w.chance(8)
	node.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(int64(w.IntN(17))*250, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(int64(w.IntN(9))<<29, resource.BinarySI),
		corev1.ResourcePods:   *resource.NewQuantity(int64(1+w.IntN(8)), resource.DecimalSI),
	}
	amount := func(percent int, name corev1.ResourceName, n int64) {
		if w.chance(percent) {
			node.Status.Allocatable[name] = *resource.NewQuantity(n, resource.DecimalSI)
		}
	}
	amount(70, corev1.ResourceEphemeralStorage, int64(w.IntN(9))<<30)
	amount(40, "example.com/gpu", int64(w.IntN(4)))
	amount(30, "hugepages-2Mi", int64(w.IntN(4))<<21)
	for _, image := range images {
		if w.chance(40) {
			node.Status.Images = append(node.Status.Images, corev1.ContainerImage{Names: []string{image.name, image.name + "@sha256:1"}, SizeBytes: image.size})
		}
	}
	return node
}

func (w *world) newPod() *corev1.Pod {
	w.pods++
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: fmt.Sprint("pod-", w.pods), Namespace: w.namespace(), UID: types.UID(fmt.Sprint("uid-", w.pods)),
		Labels: map[string]string{"app": w.app()},
	}}
	if w.chance(50) {
		pod.Labels["tier"] = pick(w, "front", "back")
	}
	if w.chance(30) {
		pod.Labels["pod-template-hash"] = pick(w, "1", "2")
	}
	if w.chance(5) {
		pod.Labels = nil
	}
	priority := pick[int32](w, 0, 0, 10, 100, -5)
	pod.Spec.Priority = &priority
	if w.chance(5) {
		never := corev1.PreemptNever
		pod.Spec.PreemptionPolicy = &never
	}
	w.fillContainers(pod)
	w.fillPlacement(pod)
	return pod
}

func (w *world) fillContainers(pod *corev1.Pod) {
	for i := range 1 + w.IntN(2) {
		pod.Spec.Containers = append(pod.Spec.Containers, w.container(fmt.Sprint("c", i)))
	}
	for i := range w.IntN(3) {
		if w.chance(40) {
			c := w.container(fmt.Sprint("i", i))
			if w.chance(50) {
				always := corev1.ContainerRestartPolicyAlways
				c.RestartPolicy = &always
			}
			pod.Spec.InitContainers = append(pod.Spec.InitContainers, c)
		}
	}
	if w.chance(10) {
		pod.Spec.Overhead = w.requests()
	}
	if w.chance(8) {
		requests := corev1.ResourceList{}
		for name, amount := range w.requests() {
			if name == corev1.ResourceCPU || name == corev1.ResourceMemory {
				requests[name] = amount
			}
		}
		pod.Spec.Resources = &corev1.ResourceRequirements{Requests: requests}
	}
	if w.chance(10) {
		pod.Spec.Volumes = []corev1.Volume{{Name: "image", VolumeSource: corev1.VolumeSource{
			Image: &corev1.ImageVolumeSource{Reference: pick(w, images...).name}}}}
	}
}

func (w *world) container(name string) corev1.Container {
	c := corev1.Container{Name: name, Image: pick(w, "img/one:v1", "img/two", "registry:5000/img/three:v3", "img/four", "none")}
	if w.chance(75) {
		c.Resources.Requests = w.requests()
	}
	if w.chance(12) {
		c.Ports = []corev1.ContainerPort{{
			HostPort: int32(8080 + w.IntN(2)), HostIP: pick(w, "", "0.0.0.0", "10.0.0.1", "10.0.0.2"),
			Protocol: pick(w, "", corev1.ProtocolTCP, corev1.ProtocolUDP),
		}}
	}
	return c
}

// freePorts takes those ports away that a pod on the node has already: the
// first of the differences in the package comment.
func (w *world) freePorts(pod *corev1.Pod) {
	for _, other := range w.placed {
		if other.Spec.NodeName != pod.Spec.NodeName {
			continue
		}
		for _, list := range [][]corev1.Container{other.Spec.Containers, other.Spec.InitContainers} {
			for _, c := range list {
				if len(c.Ports) > 0 {
					dropPorts(pod)
					return
				}
			}
		}
	}
}

func dropPorts(pod *corev1.Pod) {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			list[i].Ports = nil
		}
	}
}

func (w *world) requests() corev1.ResourceList {
	list := corev1.ResourceList{}
	add := func(percent int, name corev1.ResourceName, amount *resource.Quantity) {
		if w.chance(percent) {
			list[name] = *amount
		}
	}
	add(70, corev1.ResourceCPU, resource.NewMilliQuantity(int64(w.IntN(6))*125, resource.DecimalSI))
	add(70, corev1.ResourceMemory, resource.NewQuantity(int64(w.IntN(6))<<27, resource.BinarySI))
	add(10, corev1.ResourceEphemeralStorage, resource.NewQuantity(int64(w.IntN(3))<<30, resource.BinarySI))
	add(6, "example.com/gpu", resource.NewQuantity(int64(w.IntN(3)), resource.DecimalSI))
	add(4, "hugepages-2Mi", resource.NewQuantity(int64(w.IntN(3))<<21, resource.BinarySI))
	return list
}

func (w *world) fillPlacement(pod *corev1.Pod) {
	for range w.IntN(3) {
		if w.chance(50) {
			pod.Spec.Tolerations = append(pod.Spec.Tolerations, w.toleration())
		}
	}
	if w.chance(8) {
		pod.Spec.NodeSelector = map[string]string{"disk": pick(w, "ssd", "hdd")}
	}
	affinity := &corev1.Affinity{}
	if w.chance(15) {
		affinity.NodeAffinity = w.nodeAffinity()
	}
	if w.chance(25) {
		affinity.PodAffinity = &corev1.PodAffinity{}
		if w.chance(50) {
			affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution = w.terms()
		}
		affinity.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution = w.weighted()
	}
	if w.chance(30) {
		affinity.PodAntiAffinity = &corev1.PodAntiAffinity{}
		if w.chance(50) {
			affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution = w.terms()
		}
		affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution = w.weighted()
	}
	if w.chance(70) {
		pod.Spec.Affinity = affinity
	}
	for range w.IntN(3) {
		if w.chance(35) {
			pod.Spec.TopologySpreadConstraints = append(pod.Spec.TopologySpreadConstraints, w.constraint())
		}
	}
}

func (w *world) toleration() corev1.Toleration {
	return corev1.Toleration{
		Key: pick(w, "", "k1", "k2", corev1.TaintNodeUnschedulable), Value: pick(w, "", "v1", "v2"),
		Operator: pick(w, "", corev1.TolerationOpEqual, corev1.TolerationOpExists),
		Effect:   pick(w, "", corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute, corev1.TaintEffectPreferNoSchedule),
	}
}

func (w *world) nodeAffinity() *corev1.NodeAffinity {
	a := &corev1.NodeAffinity{}
	if w.chance(70) {
		a.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{}
		for range w.IntN(3) {
			a.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms =
				append(a.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms, w.nodeTerm())
		}
	}
	for range w.IntN(3) {
		a.PreferredDuringSchedulingIgnoredDuringExecution = append(a.PreferredDuringSchedulingIgnoredDuringExecution,
			corev1.PreferredSchedulingTerm{Weight: int32(1 + w.IntN(100)), Preference: w.nodeTerm()})
	}
	return a
}

func (w *world) nodeTerm() corev1.NodeSelectorTerm {
	var term corev1.NodeSelectorTerm
	for range w.IntN(3) {
		term.MatchExpressions = append(term.MatchExpressions, pick(w,
			corev1.NodeSelectorRequirement{Key: "disk", Operator: corev1.NodeSelectorOpIn, Values: []string{"ssd"}},
			corev1.NodeSelectorRequirement{Key: "disk", Operator: corev1.NodeSelectorOpDoesNotExist},
			corev1.NodeSelectorRequirement{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpNotIn, Values: []string{w.zone()}},
			corev1.NodeSelectorRequirement{Key: "cores", Operator: corev1.NodeSelectorOpGt, Values: []string{"3"}},
			corev1.NodeSelectorRequirement{Key: "cores", Operator: corev1.NodeSelectorOpLt, Values: []string{"six"}}, // cannot be parsed
		))
	}
	for range w.IntN(3) {
		if w.chance(40) {
			term.MatchFields = append(term.MatchFields, corev1.NodeSelectorRequirement{
				Key: "metadata.name", Operator: pick(w, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn), Values: []string{w.nodeName()}})
		}
	}
	return term
}

func (w *world) selector() *metav1.LabelSelector {
	return pick(w,
		&metav1.LabelSelector{MatchLabels: map[string]string{"app": w.app()}},
		&metav1.LabelSelector{MatchLabels: map[string]string{"app": w.app()}},
		&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: metav1.LabelSelectorOpIn, Values: []string{"front"}}}},
		&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: metav1.LabelSelectorOpDoesNotExist}}},
		&metav1.LabelSelector{}, nil)
}

func (w *world) term() corev1.PodAffinityTerm {
	t := corev1.PodAffinityTerm{TopologyKey: pick(w, corev1.LabelHostname, corev1.LabelTopologyZone, "disk"), LabelSelector: w.selector()}
	if w.chance(30) {
		t.Namespaces = []string{w.namespace()}
	}
	if w.chance(30) {
		t.NamespaceSelector = pick(w, &metav1.LabelSelector{}, &metav1.LabelSelector{MatchLabels: map[string]string{"team": pick(w, "x", "y")}})
	}
	return t
}

func (w *world) terms() (terms []corev1.PodAffinityTerm) {
	for range 1 + w.IntN(2) {
		terms = append(terms, w.term())
	}
	return terms
}

func (w *world) weighted() (terms []corev1.WeightedPodAffinityTerm) {
	for range w.IntN(3) {
		terms = append(terms, corev1.WeightedPodAffinityTerm{Weight: int32(1 + w.IntN(100)), PodAffinityTerm: w.term()})
	}
	return terms
}

func (w *world) constraint() corev1.TopologySpreadConstraint {
	c := corev1.TopologySpreadConstraint{
		MaxSkew: int32(1 + w.IntN(3)), TopologyKey: pick(w, corev1.LabelHostname, corev1.LabelTopologyZone, corev1.LabelTopologyZone),
		WhenUnsatisfiable: pick(w, corev1.DoNotSchedule, corev1.ScheduleAnyway), LabelSelector: w.selector(),
	}
	if w.chance(30) && c.WhenUnsatisfiable == corev1.DoNotSchedule {
		domains := int32(1 + w.IntN(4))
		c.MinDomains = &domains
	}
	policy := func() *corev1.NodeInclusionPolicy {
		p := pick(w, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore)
		return pick(w, &p, nil)
	}
	c.NodeAffinityPolicy, c.NodeTaintsPolicy = policy(), policy()
	if w.chance(30) {
		c.MatchLabelKeys = []string{"pod-template-hash"}
	}
	return c
}

func (w *world) budget(i int) *policyv1.PodDisruptionBudget {
	one := intstr.FromInt32(1)
	b := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("budget-", i), Namespace: w.namespace()},
		Spec:       policyv1.PodDisruptionBudgetSpec{MinAvailable: &one, Selector: w.selector()},
		Status:     policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: int32(w.IntN(2))},
	}
	if len(w.placed) > 0 && w.chance(20) {
		b.Status.DisruptedPods = map[string]metav1.Time{pick(w, w.placed...).Name: {}}
	}
	return b
}
