// Package lease is the heartbeat of a node.
//
// A Lease is a small object that says until when somebody is to be believed
// alive. The kubelet renews that of its node every ten seconds; when it has not
// been renewed for forty, the node's controller takes the node for lost. It is an
// object of its own because the Node is large, and would be written to etcd and
// sent to every watcher as often.
//
// Upstream: k8s.io/component-helpers/apimachinery/lease.
package lease

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcoordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
)

// A Renewer keeps one node's Lease. Its exported fields are set before Run.
type Renewer struct {
	Leases   typedcoordinationv1.LeasesGetter
	NodeName string

	// NodeUID returns the UID of the Node object, which owns the Lease, or "" while
	// it is not known: the owner is added later then.
	NodeUID func() types.UID

	Duration time.Duration // for which the node is believed; it is renewed four times as often
	Log      *slog.Logger

	last *coordinationv1.Lease // as the API server returned it
}

// Run renews the Lease until ctx is done. It stays then: that it runs out is how
// others find out.
func (r *Renewer) Run(ctx context.Context) error {
	every := r.Duration / 4
	for tries := 0; ; {
		wait := every
		if err := r.renew(ctx, time.Now()); err != nil && ctx.Err() == nil {
			r.Log.Warn("node lease not renewed, will try again", "err", err)
			tries++
			wait = min(every, 200*time.Millisecond<<min(tries, 10))
		} else {
			tries = 0
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// renew writes the Lease: on top of what was written last if nobody else has
// written since, and otherwise of what there is.
func (r *Renewer) renew(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, r.Duration/4)
	defer cancel()
	client := r.Leases.Leases(corev1.NamespaceNodeLease)
	if r.last != nil {
		renewed, err := client.Update(ctx, r.next(r.last, now), metav1.UpdateOptions{})
		if err == nil {
			r.last = renewed
			return nil
		}
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return fmt.Errorf("renew lease %s: %w", r.NodeName, err)
		}
	}
	there, err := client.Get(ctx, r.NodeName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		r.last, err = client.Create(ctx, r.next(nil, now), metav1.CreateOptions{})
	case err == nil:
		r.last, err = client.Update(ctx, r.next(there, now), metav1.UpdateOptions{})
	}
	if err != nil {
		r.last = nil
		return fmt.Errorf("renew lease %s: %w", r.NodeName, err)
	}
	return nil
}

// next returns the Lease with the time of now; from nil, a new one.
func (r *Renewer) next(from *coordinationv1.Lease, now time.Time) *coordinationv1.Lease {
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: r.NodeName, Namespace: corev1.NamespaceNodeLease}}
	if from != nil {
		l = from.DeepCopy()
	}
	seconds, at := int32(r.Duration/time.Second), metav1.NewMicroTime(now)
	l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &r.NodeName, &seconds, &at
	if uid := r.NodeUID(); uid != "" {
		l.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: r.NodeName, UID: uid}}
	}
	return l
}
