package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/admission"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// A Follower tells of every object of a resource: first of those that there are,
// then of each that is made, changed or removed, until ctx is done.
type Follower interface {
	Follow(ctx context.Context, of schema.GroupResource, changed func(obj resource.Object, gone bool)) error
}

// Namespaces keeps in every namespace what its pods need.
type Namespaces struct {
	Server resource.Server
	Follow Follower
	RootCA string // PEM
	Log    *slog.Logger
}

const (
	defaultAccount = "default"
	description    = "kubernetes.io/description"
	rootCAText     = "The certificate of the authority by which to verify the API server at its addresses inside of the cluster, such as kubernetes.default.svc. " +
		"It is of no use for the certificates of anything else."
)

// Run works until ctx is done. A namespace whose turn fails comes again later,
// and does not keep the others waiting.
func (n *Namespaces) Run(ctx context.Context) error {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](50*time.Millisecond, 30*time.Second))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, queue.ShutDown)

	errs := make([]error, 3)
	var following sync.WaitGroup
	for i, of := range []schema.GroupResource{namespaces, serviceAccounts, configMaps} {
		following.Go(func() {
			errs[i] = n.Follow.Follow(ctx, of, func(obj resource.Object, gone bool) { n.changed(queue, of, obj, gone) })
			cancel()
		})
	}
	for {
		name, stop := queue.Get()
		if stop {
			break
		}
		if err := n.reconcile(ctx, name); err != nil && ctx.Err() == nil {
			n.Log.Warn("a namespace lacks what its pods need", "namespace", name, "error", err)
			queue.AddRateLimited(name)
		} else {
			queue.Forget(name)
		}
		queue.Done(name)
	}
	following.Wait()
	return errors.Join(errs...)
}

// changed picks out the changes that matter.
func (n *Namespaces) changed(queue workqueue.TypedInterface[string], of schema.GroupResource, obj resource.Object, gone bool) {
	switch {
	case of == namespaces && !gone:
		queue.Add(obj.GetName())
	case of == serviceAccounts && gone && obj.GetName() == defaultAccount, of == configMaps && obj.GetName() == admission.RootCA:
		queue.Add(obj.GetNamespace())
	}
}

// reconcile looks at one namespace, whatever it was that made us look.
func (n *Namespaces) reconcile(ctx context.Context, name string) error {
	obj, err := n.Server.Get(ctx, namespaces, "", name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if obj.(*corev1.Namespace).Status.Phase == corev1.NamespaceTerminating || obj.GetDeletionTimestamp() != nil {
		return nil
	}
	meta := func(name, namespace string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Namespace: namespace}
	}
	if err := create(ctx, n.Server, serviceAccounts, &corev1.ServiceAccount{ObjectMeta: meta(defaultAccount, name)}); err != nil {
		return fmt.Errorf("service account %s: %w", defaultAccount, err)
	}
	if err := n.publish(ctx, meta(admission.RootCA, name)); err != nil {
		return fmt.Errorf("config map %s: %w", admission.RootCA, err)
	}
	return nil
}

// publish also takes back what others have written into the config map: whoever
// can change it could pose as the API server.
func (n *Namespaces) publish(ctx context.Context, meta metav1.ObjectMeta) error {
	found, err := n.Server.Get(ctx, configMaps, meta.Namespace, meta.Name)
	if apierrors.IsNotFound(err) {
		m := &corev1.ConfigMap{ObjectMeta: meta}
		n.fill(m)
		_, err = n.Server.Create(ctx, configMaps, m)
		return err
	}
	if err != nil {
		return err
	}
	if m := found.(*corev1.ConfigMap); len(m.Data) == 1 && m.Data["ca.crt"] == n.RootCA && m.Annotations[description] != "" {
		return nil
	}
	return n.Server.Update(ctx, configMaps, meta.Namespace, meta.Name, func(obj resource.Object) (changed bool, err error) {
		n.fill(obj.(*corev1.ConfigMap))
		return true, nil
	})
}

func (n *Namespaces) fill(m *corev1.ConfigMap) {
	m.Data = map[string]string{"ca.crt": n.RootCA}
	if m.Annotations == nil {
		m.Annotations = map[string]string{}
	}
	m.Annotations[description] = rootCAText
}
