package scheduler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
)

// Informers returns what a scheduler watches: nodes, namespaces, and the pods that
// have not come to their end.
func Informers(client kubernetes.Interface) informers.SharedInformerFactory {
	f := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(slim))
	f.InformerFor(&corev1.Pod{}, func(client kubernetes.Interface, _ time.Duration) cache.SharedIndexInformer {
		return coreinformers.NewFilteredPodInformer(client, metav1.NamespaceAll, 0, cache.Indexers{}, func(o *metav1.ListOptions) {
			o.FieldSelector = notEnded
		})
	})
	return f
}

// notEnded selects the pods that have not come to their end.
const notEnded = "status.phase!=" + string(corev1.PodSucceeded) + ",status.phase!=" + string(corev1.PodFailed)

// slim takes out what nobody here reads, before it is kept.
func slim(obj any) (any, error) {
	if o, ok := obj.(metav1.Object); ok {
		o.SetManagedFields(nil)
	}
	return obj, nil
}

// Watch lets the informers tell the cache and the queue of what happens until ctx is
// done: the cache first, so that a pod which is looked at again because of an event
// sees it. It is called once, and may begin long before Run.
func (s *Scheduler) Watch(ctx context.Context) error {
	told := slices.Clone(s.Lists.known)
	for informer, handler := range map[cache.SharedInformer]cache.ResourceEventHandler{
		s.Informers.Core().V1().Namespaces().Informer(): &handler[*corev1.Namespace]{s.setNamespace, s.removeNamespace},
		s.Informers.Core().V1().Nodes().Informer():      &handler[*corev1.Node]{s.setNode, s.removeNode},
		s.Informers.Core().V1().Pods().Informer():       &handler[*corev1.Pod]{s.setPod, s.removePod},
	} {
		registration, err := informer.AddEventHandler(handler)
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		told = append(told, registration.HasSynced)
	}
	s.Informers.Start(ctx.Done())
	defer s.Informers.Shutdown()
	if cache.WaitForCacheSync(ctx.Done(), told...) {
		close(s.knows)
		<-ctx.Done()
	}
	return nil
}

// catchUp waits until the cache shows every pod that has a node now, however far the
// watch is behind: whoever was the scheduler until now has bound some just before.
// Upstream begins with what it knows.
func (s *Scheduler) catchUp(ctx context.Context) error {
	const patience, often = time.Second, 10 * time.Millisecond
	taken := metav1.ListOptions{FieldSelector: "spec.nodeName!=," + notEnded}
	for ctx.Err() == nil {
		list, err := s.Client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, taken)
		if err != nil {
			s.Log.Info("what is bound is asked for again", "err", err)
		}
		known := func(context.Context) (bool, error) {
			return err == nil && !slices.ContainsFunc(list.Items, func(p corev1.Pod) bool { return s.cache.Pod(p.UID) == nil }), nil
		}
		// Those that end meanwhile are never seen, and not listed the next time.
		if wait.PollUntilContextTimeout(ctx, often, patience, true, known) == nil {
			return nil
		}
	}
	return ctx.Err()
}

// Pods returns the pods that have not come to their end, with and without a node. They
// belong to the informer.
func (s *Scheduler) Pods() []*corev1.Pod {
	pods, _ := s.Informers.Core().V1().Pods().Lister().List(labels.Everything()) // what is in memory can be listed
	return pods
}

// Ready says whether the scheduler knows the cluster.
func (s *Scheduler) Ready() error {
	select {
	case <-s.knows:
		return nil
	default:
		return errors.New("the cluster is not known yet")
	}
}

// A handler gets every change as one of two: this is how it is now (and was
// before; zero if it is new), or it is gone.
type handler[T metav1.Object] struct {
	set    func(old, now T)
	remove func(T)
}

func (h *handler[T]) OnAdd(obj any, _ bool) {
	var none T
	h.set(none, obj.(T))
}

// OnUpdate: informers know objects by their names. What was made again while the watch
// was cut off is told of as an update, and is another object nevertheless.
func (h *handler[T]) OnUpdate(old, now any) {
	if old.(T).GetUID() != now.(T).GetUID() {
		h.OnDelete(old)
		h.OnAdd(now, false)
		return
	}
	h.set(old.(T), now.(T))
}

// OnDelete: an object whose end was not seen is told of as it was last.
func (h *handler[T]) OnDelete(obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	h.remove(obj.(T))
}

func (s *Scheduler) setNode(old, node *corev1.Node) {
	s.cache.SetNode(node)
	e := framework.Event{Action: framework.NodeAdded, NewNode: node}
	if old != nil {
		e = framework.NodeUpdated(old, node)
	}
	s.happened(e)
}

func (s *Scheduler) removeNode(node *corev1.Node) {
	s.cache.RemoveNode(node.Name)
	s.happened(framework.Event{Action: framework.NodeRemoved, OldNode: node})
}

// setNamespace: the labels of a namespace decide which pods an affinity means.
// Upstream has no event for that and leaves it to the five minutes.
func (s *Scheduler) setNamespace(old, ns *corev1.Namespace) {
	s.cache.SetNamespace(ns.Name, ns.Labels)
	if old != nil && !maps.Equal(old.Labels, ns.Labels) {
		s.happened(framework.Event{Action: framework.Anything})
	}
}

func (s *Scheduler) removeNamespace(ns *corev1.Namespace) { s.cache.RemoveNamespace(ns.Name) }

func (s *Scheduler) happened(e framework.Event) {
	if e.Action != 0 {
		s.queue.Happened(e)
	}
}

func (s *Scheduler) setPod(old, pod *corev1.Pod) {
	switch {
	case ended(pod):
		s.removePod(pod)
	case pod.Spec.NodeName != "":
		s.setBound(pod)
	case s.Profiles[pod.Spec.SchedulerName] == nil: // another scheduler's, which may have made room for it; upstream leaves it out
		if pod.Status.NominatedNodeName != "" || nomination(old) != "" {
			s.setNominated(old, s.parse(pod))
		}
	case s.cache.IsAssumed(pod.UID): // this is older than the decision
	default:
		s.setWaiting(old, s.parse(pod))
	}
}

// ended: what is over holds nothing on its node.
func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// setBound is told of a pod that has its node, from us or from somebody else.
func (s *Scheduler) setBound(object *corev1.Pod) {
	before := s.cache.Pod(object.UID)
	assumed := s.cache.IsAssumed(object.UID)
	pod := s.newer(before, object)
	s.cache.SetPod(pod)
	if before == nil || assumed {
		s.queue.Delete(object.UID)
		s.happened(framework.Event{Action: framework.PodAdded, NewPod: pod})
		return
	}
	s.happened(framework.PodUpdated(before, pod))
}

// setWaiting is told of a pod that waits for us to find it a node.
func (s *Scheduler) setWaiting(old *corev1.Pod, pod *framework.Pod) {
	s.queue.Update(pod)
	s.setNominated(old, pod)
}

// setNominated remembers which node a pod waits for, and that it does so no more. One
// that has just been nominated by us does not say so itself yet.
func (s *Scheduler) setNominated(old *corev1.Pod, pod *framework.Pod) {
	before, now := nomination(old), pod.Status.NominatedNodeName
	if before != "" || now != "" {
		s.cache.Nominate(pod, now)
	}
	if before != "" && before != now {
		s.happened(framework.Event{Action: framework.PodRemoved, OldPod: pod}) // its place on that node is free for others
	}
}

// nomination is the node that a pod waits for, if there is a pod.
func nomination(pod *corev1.Pod) string {
	if pod == nil {
		return ""
	}
	return pod.Status.NominatedNodeName
}

func (s *Scheduler) removePod(object *corev1.Pod) {
	s.queue.Delete(object.UID)
	s.cache.Denominate(object.UID)
	if pod := s.cache.RemovePod(object.UID); pod != nil {
		s.happened(framework.Event{Action: framework.PodRemoved, OldPod: pod})
	} else if object.Status.NominatedNodeName != "" {
		s.happened(framework.Event{Action: framework.PodRemoved, OldPod: s.parse(object)})
	}
}

// parse reads a pod. One that can't be understood still takes its room on a node,
// and if it waits, its decision says what is wrong.
func (s *Scheduler) parse(object *corev1.Pod) *framework.Pod {
	pod, err := framework.NewPod(object)
	if err != nil {
		s.Log.Debug("a pod can't be understood", "pod", object.Namespace+"/"+object.Name, "err", err)
	}
	return pod
}

// newer returns the pod as it is now. Its kubelet reports all the time, which
// changes nothing of what was parsed as long as the spec is the first one.
func (s *Scheduler) newer(before *framework.Pod, object *corev1.Pod) *framework.Pod {
	if before == nil || before.Generation != 1 || object.Generation != 1 || !maps.Equal(before.Labels, object.Labels) ||
		before.Terminating() != (object.DeletionTimestamp != nil) {
		return s.parse(object)
	}
	pod := *before
	pod.Pod = object
	return &pod
}
