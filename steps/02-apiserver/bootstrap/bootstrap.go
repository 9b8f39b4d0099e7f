// Package bootstrap makes the objects that a cluster has before anybody has made
// one: its own namespaces, the priority classes of what must not be evicted, and the
// service by which pods find the API server.
//
// It also keeps two objects in every namespace, without which no pod starts there:
// the service account default, and the certificate of the authority. Those are
// controllers' work, and in step 04 the controller manager does it. Until then a
// loop in the server does; the two can work side by side, as both only put back
// what is missing.
//
// Upstream: pkg/controlplane/controller, and of the controller manager
// pkg/controller/serviceaccount and certificates/rootcacertpublisher.
package bootstrap

//lint:file-ignore SA1019 upstream keeps these endpoints for the clients that look for the API server there

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// A Config is what the objects depend on.
type Config struct {
	// Services is the range of service addresses; the first is that of the API server.
	Services netip.Prefix

	// Address and Port are where the API server is reached by the nodes.
	Address netip.Addr
	Port    int

	// RootCA is the certificate of the authority, PEM.
	RootCA string
}

var (
	namespaces      = schema.GroupResource{Resource: "namespaces"}
	services        = schema.GroupResource{Resource: "services"}
	endpoints       = schema.GroupResource{Resource: "endpoints"}
	configMaps      = schema.GroupResource{Resource: "configmaps"}
	serviceAccounts = schema.GroupResource{Resource: "serviceaccounts"}
	priorityClasses = schema.GroupResource{Group: "scheduling.k8s.io", Resource: "priorityclasses"}
)

type object struct {
	of  schema.GroupResource
	obj resource.Object
}

// objects are what Ensure makes, in order: nothing can be made in a namespace
// that is not there.
func objects(c Config) []object {
	var all []object
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease} {
		all = append(all, object{namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}})
	}
	const highestUserDefinable = 1_000_000_000
	for _, class := range []schedulingv1.PriorityClass{
		{ObjectMeta: metav1.ObjectMeta{Name: "system-node-critical"}, Value: 2*highestUserDefinable + 1000,
			Description: "Used for system critical pods that must not be moved from their current node."},
		{ObjectMeta: metav1.ObjectMeta{Name: "system-cluster-critical"}, Value: 2 * highestUserDefinable,
			Description: "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."},
	} {
		all = append(all, object{priorityClasses, &class})
	}
	return append(all, object{services, service(c)}, object{endpoints, endpoint(c)})
}

// ServiceAddress is the address of the service kubernetes: the first of the range
// after that of the network.
func ServiceAddress(services netip.Prefix) netip.Addr { return services.Masked().Addr().Next() }

// service has no selector: the API server is no pod that could be selected.
func service(c Config) *corev1.Service {
	single, address := corev1.IPFamilyPolicySingleStack, ServiceAddress(c.Services).String()
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceDefault, Name: "kubernetes",
			Labels: map[string]string{"component": "apiserver", "provider": "kubernetes"},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: address, ClusterIPs: []string{address},
			IPFamilyPolicy: &single, SessionAffinity: corev1.ServiceAffinityNone,
			Ports: []corev1.ServicePort{{Name: "https", Protocol: corev1.ProtocolTCP, Port: 443, TargetPort: intstr.FromInt(c.Port)}},
		},
	}
}

func endpoint(c Config) *corev1.Endpoints {
	return &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceDefault, Name: "kubernetes",
			Labels: map[string]string{"endpointslice.kubernetes.io/skip-mirror": "true"},
		},
		Subsets: subsets(c),
	}
}

func subsets(c Config) []corev1.EndpointSubset {
	if c.Address.IsLoopback() { // which every pod has for itself
		return nil
	}
	return []corev1.EndpointSubset{{
		Addresses: []corev1.EndpointAddress{{IP: c.Address.String()}},
		Ports:     []corev1.EndpointPort{{Name: "https", Port: int32(c.Port), Protocol: corev1.ProtocolTCP}},
	}}
}

// Ensure makes what is missing, and puts the server's own address right. What is
// there stays as somebody has changed it.
func Ensure(ctx context.Context, server resource.Server, c Config) error {
	if err := createAll(ctx, server, c); err != nil {
		return err
	}
	err := server.Update(ctx, endpoints, metav1.NamespaceDefault, "kubernetes", func(obj resource.Object) (changed bool, err error) {
		ours, told := obj.(*corev1.Endpoints), subsets(c)
		changed = !equality.Semantic.DeepEqual(ours.Subsets, told)
		ours.Subsets = told
		return changed, nil
	})
	if err != nil {
		return fmt.Errorf("bootstrap: tell where the API server is: %w", err)
	}
	return nil
}

// Keep makes again what somebody has deleted, whenever tick says so, until ctx is done:
// `kubectl delete services --all` takes the one with it by which pods find the API
// server. failed is told what can't be made.
func Keep(ctx context.Context, server resource.Server, c Config, tick <-chan time.Time, failed func(error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		if err := createAll(ctx, server, c); err != nil && ctx.Err() == nil {
			failed(err)
		}
	}
}

func createAll(ctx context.Context, server resource.Server, c Config) error {
	for _, o := range objects(c) {
		if err := create(ctx, server, o.of, o.obj); err != nil {
			return fmt.Errorf("bootstrap: %s %q: %w", o.of, o.obj.GetName(), err)
		}
	}
	return nil
}

// create reads first, as at every start but the first there is nothing to do.
func create(ctx context.Context, server resource.Server, of schema.GroupResource, obj resource.Object) error {
	_, err := server.Get(ctx, of, obj.GetNamespace(), obj.GetName())
	if apierrors.IsNotFound(err) {
		_, err = server.Create(ctx, of, obj)
	}
	if apierrors.IsAlreadyExists(err) { // another server was faster
		return nil
	}
	return err
}
