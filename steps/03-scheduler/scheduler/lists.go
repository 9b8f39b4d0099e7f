package scheduler

import (
	"context"
	"maps"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	policylisters "k8s.io/client-go/listers/policy/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
)

// Lists are what is looked up for one pod or the other and is no reason by itself to
// look at a pod again: what pods belong to, and what budgets they have. An API server
// that does not serve a kind has none of it.
type Lists struct {
	services corelisters.ServiceLister
	owners   corelisters.ReplicationControllerLister
	replicas appslisters.ReplicaSetLister
	stateful appslisters.StatefulSetLister
	budgets  policylisters.PodDisruptionBudgetLister
	known    []cache.InformerSynced
}

// NewLists lets the informers hold what is listed.
func NewLists(f informers.SharedInformerFactory) (*Lists, error) {
	l := &Lists{
		services: f.Core().V1().Services().Lister(),
		owners:   f.Core().V1().ReplicationControllers().Lister(),
		replicas: f.Apps().V1().ReplicaSets().Lister(),
		stateful: f.Apps().V1().StatefulSets().Lister(),
		budgets:  f.Policy().V1().PodDisruptionBudgets().Lister(),
	}
	for _, informer := range []cache.SharedIndexInformer{
		f.Core().V1().Services().Informer(), f.Core().V1().ReplicationControllers().Informer(),
		f.Apps().V1().ReplicaSets().Informer(), f.Apps().V1().StatefulSets().Informer(), f.Policy().V1().PodDisruptionBudgets().Informer(),
	} {
		var absent atomic.Bool
		if err := informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
			if apierrors.IsNotFound(err) {
				absent.Store(true) // until the reflector, which tries again, finds it
				return
			}
			cache.DefaultWatchErrorHandler(ctx, r, err)
		}); err != nil {
			return nil, err
		}
		l.known = append(l.known, func() bool { return informer.HasSynced() || absent.Load() })
	}
	return l, nil
}

// Budgets returns the cluster's budgets. They belong to the informer.
func (l *Lists) Budgets() []*policyv1.PodDisruptionBudget {
	all, _ := l.budgets.List(labels.Everything()) // what is in memory can be listed
	return all
}

var _ plugins.Together = (*Lists)(nil).Together

// Together returns what selects the pods that belong together with this one: of the
// same services, of the same owner.
// Upstream: pkg/scheduler/framework/plugins/helper/spread.go, DefaultSelector.
func (l *Lists) Together(pod *corev1.Pod) labels.Selector {
	set := labels.Set{}
	services, _ := l.services.Services(pod.Namespace).List(labels.Everything())
	for _, s := range services {
		if len(s.Spec.Selector) > 0 && labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(pod.Labels)) {
			maps.Copy(set, s.Spec.Selector)
		}
	}
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		return set.AsSelector()
	}
	var selector *metav1.LabelSelector
	switch owner.APIVersion + " " + owner.Kind {
	case "v1 ReplicationController":
		if rc, err := l.owners.ReplicationControllers(pod.Namespace).Get(owner.Name); err == nil {
			maps.Copy(set, rc.Spec.Selector)
		}
	case "apps/v1 ReplicaSet":
		if rs, err := l.replicas.ReplicaSets(pod.Namespace).Get(owner.Name); err == nil {
			selector = rs.Spec.Selector
		}
	case "apps/v1 StatefulSet":
		if ss, err := l.stateful.StatefulSets(pod.Namespace).Get(owner.Name); err == nil {
			selector = ss.Spec.Selector
		}
	}
	return with(set.AsSelector(), selector)
}

// with adds to a selector what another one asks for besides.
func with(all labels.Selector, more *metav1.LabelSelector) labels.Selector {
	if more == nil {
		return all
	}
	parsed, err := metav1.LabelSelectorAsSelector(more)
	if err != nil {
		return all
	}
	requirements, _ := parsed.Requirements()
	return all.Add(requirements...)
}
