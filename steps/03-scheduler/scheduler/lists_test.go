package scheduler

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"
)

// What the default constraints of a cluster spread: pods of the same services and the
// same owner.
func TestWhatBelongsTogether(t *testing.T) {
	meta := metav1.ObjectMeta{Namespace: "default", Name: "web"}
	selector := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "hash", Operator: metav1.LabelSelectorOpIn, Values: []string{"1", "2"}}}}
	client := fake.NewClientset(
		&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "web"}}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "without"}},
		&corev1.ReplicationController{ObjectMeta: meta, Spec: corev1.ReplicationControllerSpec{Selector: map[string]string{"rc": "web"}}},
		&appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Selector: selector}},
		&appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector}},
	)
	f := informers.NewSharedInformerFactory(client, 0)
	lists, err := NewLists(f)
	if err != nil {
		t.Fatal(err)
	}
	f.Start(t.Context().Done())
	f.WaitForCacheSync(t.Context().Done())
	for _, c := range []struct{ name, namespace, app, apiVersion, kind, want string }{
		{"nothing", "default", "other", "", "", ""},
		{"a service", "default", "web", "", "", "app=web"},
		{"a service elsewhere", "kube-system", "web", "", "", ""},
		{"a replication controller", "default", "other", "v1", "ReplicationController", "rc=web"},
		{"a replica set", "default", "other", "apps/v1", "ReplicaSet", "hash in (1,2)"},
		{"a service and a replica set", "default", "web", "apps/v1", "ReplicaSet", "app=web,hash in (1,2)"},
		{"a stateful set", "default", "other", "apps/v1", "StatefulSet", "hash in (1,2)"},
		{"an owner elsewhere", "kube-system", "other", "apps/v1", "ReplicaSet", ""},
		{"another kind", "default", "other", "batch/v1", "Job", ""},
		{"a kind of another group", "default", "other", "example.com/v1", "ReplicaSet", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "pod", Labels: map[string]string{"app": c.app}}}
			if c.kind != "" {
				pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: c.apiVersion, Kind: c.kind, Name: "web", Controller: ptr.To(true)}}
			}
			if got := lists.Together(pod).String(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
