package schedagree

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// A story makes up what happens next. It knows what it has made, and nothing of what
// became of it: whom it wants to change may have been ended by another.
type story struct {
	rand  *rand.Rand
	name  string
	nodes []string
	pods  []string
	made  int // pods so far
	used  map[int32]bool
}

// A step is one thing that happens.
type step struct {
	text string
	do   func(ctx context.Context, c *cluster) error
}

// ofStories is the label of priority classes that a story has made: one for each pod.
const ofStories = "groundup.dev/story"

// ranks are the nodes that there can be, by how much all pods like them.
const ranks = 6

func (s *story) one(of ...string) string { return of[s.rand.IntN(len(of))] }
func (s *story) oneIn(n int) bool        { return s.rand.IntN(n) == 0 }

func (s *story) next() step {
	if len(s.nodes) == 0 {
		return s.addNode()
	}
	switch n := s.rand.IntN(40); {
	case n < 4 && len(s.nodes) < ranks:
		return s.addNode()
	case n < 6 && len(s.nodes) > 1:
		return s.removeNode()
	case n < 12:
		return s.changeNode()
	case n < 18 && len(s.pods) > 0:
		return s.endPod()
	case n < 21 && len(s.pods) > 0:
		return s.changePod()
	case n < 23:
		return s.setBudget()
	case n == 23:
		return step{text: "restart the scheduler", do: func(ctx context.Context, c *cluster) error { return c.restart(ctx) }}
	}
	return s.addPod()
}

// setBudget says how many pods of a kind may be made to go. There is no controller that
// would say it.
func (s *story) setBudget() step {
	app, n := s.one("web", "db"), s.rand.Int32N(3)
	b := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: app},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}},
	}
	status := fmt.Appendf(nil, `{"status":{"disruptionsAllowed":%d}}`, n)
	return step{text: fmt.Sprintf("let %d %s go", n, app), do: func(ctx context.Context, c *cluster) error {
		budgets := c.api.PolicyV1().PodDisruptionBudgets(metav1.NamespaceDefault)
		if _, err := budgets.Create(ctx, b.DeepCopy(), metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		_, err := budgets.Patch(ctx, app, types.MergePatchType, status, metav1.PatchOptions{}, "status")
		return err
	}}
}

func told(what string, obj any) string {
	b, _ := json.Marshal(obj) // of an object of the API
	return what + " " + string(b)
}

func (s *story) addNode() step {
	var name string
	for name == "" || slices.Contains(s.nodes, name) {
		name = fmt.Sprint("n", 1+s.rand.IntN(ranks))
	}
	s.nodes = append(s.nodes, name)
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(s.one("1", "2", "3")), corev1.ResourceMemory: resource.MustParse("4Gi"), corev1.ResourcePods: resource.MustParse(s.one("3", "110")),
	}
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname: name, "rank": name[1:], corev1.LabelTopologyZone: s.one("a", "b"), "disk": s.one("ssd", "hdd"),
		}},
		Spec:   corev1.NodeSpec{Taints: s.taints(), Unschedulable: s.oneIn(8)},
		Status: corev1.NodeStatus{Capacity: room, Allocatable: room},
	}
	return step{text: told("add node", n), do: func(ctx context.Context, c *cluster) error {
		_, err := c.api.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{})
		return err
	}}
}

func (s *story) taints() (taints []corev1.Taint) {
	for _, key := range []string{"dedicated", "spot"} {
		if s.oneIn(6) {
			taints = append(taints, corev1.Taint{Key: key, Value: s.one("x", "y"), Effect: corev1.TaintEffect(s.one("NoSchedule", "NoExecute", "PreferNoSchedule"))})
		}
	}
	return taints
}

func (s *story) removeNode() step {
	i := s.rand.IntN(len(s.nodes))
	name := s.nodes[i]
	s.nodes = slices.Delete(s.nodes, i, i+1)
	return step{text: "remove node " + name, do: func(ctx context.Context, c *cluster) error {
		return c.api.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{})
	}}
}

// changeNode patches a node, and now and then its status.
func (s *story) changeNode() step {
	name := s.nodes[s.rand.IntN(len(s.nodes))]
	var patch any
	var sub []string
	switch s.rand.IntN(5) {
	case 0:
		patch = map[string]any{"spec": map[string]any{"taints": s.taints()}}
	case 1:
		patch = map[string]any{"spec": map[string]any{"unschedulable": s.oneIn(2)}}
	case 2:
		patch = map[string]any{"metadata": map[string]any{"labels": map[string]any{"disk": s.one("ssd", "hdd")}}}
	case 3:
		patch = map[string]any{"metadata": map[string]any{"labels": map[string]any{corev1.LabelTopologyZone: s.one("a", "b")}}}
	default:
		patch, sub = map[string]any{"status": map[string]any{"allocatable": map[string]any{"cpu": s.one("1", "2", "3"), "pods": s.one("2", "110")}}}, []string{"status"}
	}
	return step{text: told("change node "+name, patch), do: func(ctx context.Context, c *cluster) error {
		b, err := json.Marshal(patch)
		if err != nil {
			return err
		}
		_, err = c.api.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, b, metav1.PatchOptions{}, sub...)
		return err
	}}
}

// endPod asks for the end of a pod, or brings it about.
func (s *story) endPod() step {
	name := s.pods[s.rand.IntN(len(s.pods))]
	var options metav1.DeleteOptions
	text := "delete pod " + name
	if !s.oneIn(3) {
		options.GracePeriodSeconds, text = ptr.To(int64(0)), "end pod "+name
	}
	return step{text: text, do: func(ctx context.Context, c *cluster) error {
		return exceptNotFound(c.api.CoreV1().Pods(metav1.NamespaceDefault).Delete(ctx, name, options))
	}}
}

func exceptNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// changePod takes away gates, or changes labels.
func (s *story) changePod() step {
	name := s.pods[s.rand.IntN(len(s.pods))]
	patch := `{"spec":{"schedulingGates":null}}`
	if s.oneIn(2) {
		patch = `{"metadata":{"labels":{"app":"` + s.one("web", "db") + `"}}}`
	}
	return step{text: "change pod " + name + " " + patch, do: func(ctx context.Context, c *cluster) error {
		_, err := c.api.CoreV1().Pods(metav1.NamespaceDefault).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		return exceptNotFound(err)
	}}
}

func (s *story) addPod() step {
	s.made++
	name := fmt.Sprintf("%s-%02d", s.name, s.made)
	s.pods = append(s.pods, name)
	class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{ofStories: ""}}, Value: s.priority(), PreemptionPolicy: ptr.To(corev1.PreemptNever)}
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": s.one("web", "db")}},
		Spec: corev1.PodSpec{
			PriorityClassName: name, TerminationGracePeriodSeconds: ptr.To(int64(0)), AutomountServiceAccountToken: new(bool),
			Affinity: &corev1.Affinity{NodeAffinity: likes()},
			Containers: []corev1.Container{{Name: "app", Image: "example.com/app:v1", Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(s.one("100m", "500m", "1", "1500m"))},
			}}},
		},
	}
	s.where(p)
	s.together(p)
	switch s.rand.IntN(16) {
	case 0:
		p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/gate"}}
	case 1:
		p.Spec.SchedulerName = "another"
	case 2, 3:
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80}}
	case 4, 5, 6, 7, 8, 9:
		p.Spec.NodeSelector = map[string]string{"rank": s.one(s.nodes...)[1:]}
		class.PreemptionPolicy = ptr.To(corev1.PreemptLowerPriority)
	}
	if s.oneIn(2) {
		p.Spec.TerminationGracePeriodSeconds = ptr.To(int64(3600)) // there is nobody to end it before
	}
	return step{text: told(fmt.Sprintf("add pod of priority %d, %s,", class.Value, *class.PreemptionPolicy), p), do: func(ctx context.Context, c *cluster) error {
		if _, err := c.api.SchedulingV1().PriorityClasses().Create(ctx, class.DeepCopy(), metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		_, err := c.api.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, p.DeepCopy(), metav1.CreateOptions{})
		return err
	}}
}

// priority is one that no other pod of the story has.
func (s *story) priority() int32 {
	if s.used == nil {
		s.used = map[int32]bool{}
	}
	for {
		if n := s.rand.Int32N(100000); !s.used[n] {
			s.used[n] = true
			return n
		}
	}
}

// likes prefers each node as its rank says.
func likes() *corev1.NodeAffinity {
	a := &corev1.NodeAffinity{}
	for rank := 1; rank <= ranks; rank++ {
		a.PreferredDuringSchedulingIgnoredDuringExecution = append(a.PreferredDuringSchedulingIgnoredDuringExecution, corev1.PreferredSchedulingTerm{
			Weight: int32(10 * rank),
			Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
				{Key: "rank", Operator: corev1.NodeSelectorOpIn, Values: []string{fmt.Sprint(rank)}},
			}},
		})
	}
	return a
}

// where says which nodes a pod could run on.
func (s *story) where(p *corev1.Pod) {
	if s.oneIn(3) {
		p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "disk", Operator: corev1.NodeSelectorOperator(s.one("In", "NotIn")), Values: []string{"ssd"}}},
		}}}
	}
	for _, key := range []string{"dedicated", "spot"} {
		if s.oneIn(3) {
			p.Spec.Tolerations = append(p.Spec.Tolerations, corev1.Toleration{Key: key, Operator: corev1.TolerationOpEqual, Value: s.one("x", "y")})
		}
	}
}

// together says which pods a pod wants to be with, or not.
func (s *story) together(p *corev1.Pod) {
	term := corev1.PodAffinityTerm{
		TopologyKey:   s.one(corev1.LabelHostname, corev1.LabelTopologyZone),
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": s.one("web", "db")}},
	}
	switch s.rand.IntN(8) {
	case 0:
		p.Spec.Affinity.PodAffinity = &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{term}}
	case 1:
		p.Spec.Affinity.PodAntiAffinity = &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{term}}
	case 2:
		spread := corev1.TopologySpreadConstraint{MaxSkew: 1, TopologyKey: term.TopologyKey, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: term.LabelSelector}
		if s.oneIn(3) {
			spread.MinDomains = ptr.To(int32(2))
		}
		if s.oneIn(3) {
			spread.NodeTaintsPolicy = ptr.To(corev1.NodeInclusionPolicyHonor)
		}
		p.Spec.TopologySpreadConstraints = append(p.Spec.TopologySpreadConstraints, spread)
	}
}
