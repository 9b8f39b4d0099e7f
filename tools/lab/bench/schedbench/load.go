package schedbench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
)

const (
	namespace = "bench"
	zones     = 10
	clients   = 16
	// stuck is for hangs: upstream needs some 30 s for 5,000 pods on 1,000 nodes.
	stuck = 5 * time.Minute
)

// A workload is a kind of pods.
type workload struct {
	name   string
	bound  float64 // on the time for a pod, ours over upstream's
	steady bool    // also measure pods that come one by one
	// before, when set, is bound to every node before the backlog is made.
	before func(node string) []*corev1.Pod
	// pods is how many the backlog has on so many nodes; nil: what was asked for.
	pods func(nodes int) int
	pod  func(i int) *corev1.Pod
}

var workloads = []workload{
	{name: "plain", bound: 1.0 / 3, steady: true, pod: func(i int) *corev1.Pod { return pod(i, "100m") }},
	{name: "spread", bound: 1 / 1.5, pod: spread},
	{name: "anti-affinity", bound: 1 / 1.5, pod: apart},
	{
		name: "preemption", bound: 1 / 1.5,
		before: lowly,
		pods:   func(nodes int) int { return nodes },
		pod: func(i int) *corev1.Pod {
			p := pod(i, "12")
			p.Spec.PriorityClassName = "high"
			return p
		},
	},
}

func pod(i int, cpu string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pod-%d", i), Namespace: namespace, Labels: map[string]string{"load": "backlog"}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: ptr.To(int64(0)), // there is no kubelet to wait for
			Containers: []corev1.Container{{
				Name: "app", Image: "example.com/app:v1",
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
					corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("500Mi"),
				}},
			}},
		},
	}
}

// spread pods want to be level over zones, and over nodes if they can.
func spread(i int) *corev1.Pod {
	p := pod(i, "100m")
	p.Labels["app"] = "spread"
	mine := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "spread"}}
	p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{
		{MaxSkew: 2, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: mine},
		{MaxSkew: 2, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: mine},
	}
	return p
}

// apart pods are in groups of fifty; no two of a group may share a node.
func apart(i int) *corev1.Pod {
	p := pod(i, "100m")
	p.Labels["group"] = fmt.Sprint(i / 50)
	p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			TopologyKey:   corev1.LabelHostname,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"group": p.Labels["group"]}},
		}},
	}}
	return p
}

// lowly pods leave no room on their node.
func lowly(node string) (pods []*corev1.Pod) {
	for i := range 4 {
		p := pod(i, "3900m")
		p.Name, p.Labels, p.Spec.NodeName = fmt.Sprintf("low-%s-%d", node, i), nil, node
		pods = append(pods, p)
	}
	return pods
}

func node(i int) *corev1.Node {
	name := fmt.Sprintf("node-%d", i)
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("16"), corev1.ResourceMemory: resource.MustParse("64Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname: name, corev1.LabelTopologyZone: fmt.Sprintf("zone-%d", i%zones),
		}},
		Status: corev1.NodeStatus{
			Capacity: room, Allocatable: room,
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}
}

// A load is the client that makes what is to be scheduled, and looks on: at the
// metadata of bound pods alone, since what it costs to look is in both figures.
type load struct {
	api     kubernetes.Interface
	looking metadata.Interface
}

func newLoad(ctx context.Context, config *rest.Config) (*load, error) {
	c := rest.CopyConfig(config)
	c.QPS, c.ContentType, c.AcceptContentTypes = -1, runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf
	api, err := kubernetes.NewForConfig(c)
	if err != nil {
		return nil, err
	}
	looking, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	l := &load{api, looking}
	_, err = api.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err = api.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, err
	}
	return l, nil
}

// fill makes the nodes, what is on them already, and the backlog, and returns
// how many pods that has.
func (l *load) fill(ctx context.Context, w workload, nodes, pods int) (int, error) {
	if err := createHigh(ctx, l.api); err != nil {
		return 0, err
	}
	if err := each(ctx, nodes, func(ctx context.Context, i int) error {
		n := node(i)
		if _, err := l.api.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{}); err != nil || w.before == nil {
			return err
		}
		for _, p := range w.before(n.Name) {
			if err := l.create(ctx, p); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return 0, err
	}
	if w.pods != nil {
		pods = w.pods(nodes)
	}
	return pods, each(ctx, pods, func(ctx context.Context, i int) error { return l.create(ctx, w.pod(i)) })
}

func (l *load) create(ctx context.Context, p *corev1.Pod) error {
	_, err := l.api.CoreV1().Pods(namespace).Create(ctx, p, metav1.CreateOptions{})
	return err
}

// each calls f for 0 … n-1, as many clients at a time as there are.
func each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range clients {
		group.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// awaitBound watches until n pods of a load have a node, and returns the time
// since the first thing that the scheduler did to any pod: bind it, say why not, or
// take it away for another.
func (l *load) awaitBound(ctx context.Context, load string, n int, touched <-chan time.Time) (time.Duration, error) {
	bound := 0
	if err := l.watch(ctx, load, func(string) (done bool) { bound++; return bound == n }); err != nil {
		return 0, fmt.Errorf("%d of %d pods were bound: %w", bound, n, err)
	}
	last := time.Now()
	select {
	case first := <-touched:
		return last.Sub(first), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// lost is how long no event has come when none is still to come.
const lost = 15 * time.Second

// awaitEvents waits until there is an event about each of n pods that have just been
// bound, and returns when the last one came and how many did.
func (l *load) awaitEvents(ctx context.Context, n int) (late time.Duration, events int, err error) {
	begin := time.Now()
	w, err := l.looking.Resource(corev1.SchemeGroupVersion.WithResource("events")).Namespace(namespace).
		Watch(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("reason", "Scheduled").String()})
	if err != nil {
		return 0, 0, err
	}
	defer w.Stop()
	for events < n {
		select {
		case e, open := <-w.ResultChan():
			if !open {
				return 0, 0, errors.New("the watch of events has ended")
			}
			if e.Type == watch.Added {
				late, events = time.Since(begin), events+1
			}
		case <-time.After(lost):
			return late, events, nil
		}
	}
	return late, events, nil
}

// firstTouch tells when a pod is changed or deleted that there is already.
func (l *load) firstTouch(ctx context.Context) (<-chan time.Time, error) {
	list, err := l.pods().List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	events, err := l.pods().Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return nil, err
	}
	touched := make(chan time.Time, 1)
	go func() {
		defer events.Stop()
		if _, ok := <-events.ResultChan(); ok {
			touched <- time.Now()
		}
	}()
	return touched, nil
}

func (l *load) pods() metadata.ResourceInterface {
	return l.looking.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(namespace)
}

// watch shows every pod of a load to see when it is bound, until that is done.
func (l *load) watch(ctx context.Context, load string, see func(name string) (done bool)) error {
	ctx, cancel := context.WithTimeout(ctx, stuck)
	defer cancel()
	events, err := l.pods().Watch(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{"load": load}.String(), FieldSelector: fields.OneTermNotEqualSelector("spec.nodeName", "").String(),
	})
	if err != nil {
		return err
	}
	defer events.Stop()
	for e := range events.ResultChan() {
		switch p := e.Object.(type) {
		case *metav1.PartialObjectMetadata:
			if e.Type == watch.Added && see(p.Name) {
				return nil
			}
		default:
			return apierrors.FromObject(p)
		}
	}
	return errors.Join(errors.New("the watch has ended"), ctx.Err())
}

const (
	steadyPods  = 500
	steadyEvery = 10 * time.Millisecond
)

// steady creates pods one after the other, and returns how long all but the
// slowest hundredth were without a node.
func (l *load) steady(ctx context.Context) (float64, error) {
	created := make([]atomic.Int64, steadyPods) // nanoseconds since begin
	begin := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	var waited []float64
	group.Go(func() error {
		seen := map[string]bool{}
		return l.watch(ctx, "steady", func(name string) bool {
			if !seen[name] {
				seen[name] = true
				var i int
				fmt.Sscanf(name, "steady-%d", &i)
				waited = append(waited, milliseconds(time.Since(begin)-time.Duration(created[i].Load())))
			}
			return len(seen) == steadyPods
		})
	})
	group.Go(func() error {
		tick := time.NewTicker(steadyEvery)
		defer tick.Stop()
		for i := range created {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			p := pod(i, "10m")
			p.Name, p.Labels = fmt.Sprintf("steady-%d", i), map[string]string{"load": "steady"}
			created[i].Store(int64(time.Since(begin)))
			if err := l.create(ctx, p); err != nil {
				return err
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return 0, err
	}
	slices.Sort(waited)
	return waited[len(waited)*99/100], nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// createHigh makes the priority class of pods that may take others' place.
func createHigh(ctx context.Context, api kubernetes.Interface) error {
	high := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "high"}, Value: 1000}
	_, err := api.SchedulingV1().PriorityClasses().Create(ctx, high, metav1.CreateOptions{})
	return err
}
