package rows_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/rows"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/server/servertest"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/typed"
)

// replicationControllers is what a later step writes to serve one more kind.
func replicationControllers() resource.Resource {
	return resource.Resource{
		GroupVersionKind: corev1.SchemeGroupVersion.WithKind("ReplicationController"),
		Name:             "replicationcontrollers",
		Singular:         "replicationcontroller",
		ShortNames:       []string{"rc"},
		Namespaced:       true,
		Prefix:           "controllers",
		New:              typed.New[corev1.ReplicationController],
		NewList:          typed.List[corev1.ReplicationControllerList],
		Strategy: resource.Strategy{
			Default: typed.Change(func(rc *corev1.ReplicationController) {
				if one := int32(1); rc.Spec.Replicas == nil {
					rc.Spec.Replicas = &one
				}
			}),
		},
	}
}

func TestALaterStepAddsARow(t *testing.T) {
	conf := servertest.Config()
	conf.Rows = append(rows.All(), replicationControllers())
	_, rest := servertest.Start(t, conf)
	controllers := kubernetes.NewForConfigOrDie(rest).CoreV1().ReplicationControllers("default")

	made, err := controllers.Create(t.Context(), &corev1.ReplicationController{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if made.Spec.Replicas == nil || *made.Spec.Replicas != 1 {
		t.Errorf("got %v replicas, want the default, 1", made.Spec.Replicas)
	}
	list, err := controllers.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Errorf("got %v, %v, want a list of it", list, err)
	}
}
