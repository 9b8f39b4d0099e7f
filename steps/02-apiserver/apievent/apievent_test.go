package apievent

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/event"
)

func TestEventsReachTheAPIServer(t *testing.T) {
	client := fake.NewClientset()
	r := New(client.CoreV1(), "node-1")
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })
	defer running.Wait()
	defer cancel()

	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "uid"}}
	pod.Spec.InitContainers = []corev1.Container{{Name: "init"}}
	pod.Spec.Containers = []corev1.Container{{Name: "app"}}
	want := map[string]bool{}
	for container, path := range map[string]string{"": "", "init": "spec.initContainers{init}", "app": "spec.containers{app}"} {
		r.Record(event.Event{Pod: pod, Container: container, Type: "Normal", Reason: "Reason" + container, Message: "m"})
		want[fmt.Sprintf("kubelet node-1 Pod shop/web uid %s Normal Reason%s m", path, container)] = true
	}
	r.Node("Normal", "NodeReady", "m")
	want["kubelet node-1 Node /node-1 node-1  Normal NodeReady m"] = true

	for end := time.Now().Add(20 * time.Second); ; <-time.After(time.Millisecond) {
		list, err := client.CoreV1().Events("").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, e := range list.Items {
			o := e.InvolvedObject
			got[fmt.Sprintf("%s %s %s %s/%s %s %s %s %s %s", e.Source.Component, e.Source.Host, o.Kind, o.Namespace, o.Name, o.UID, o.FieldPath, e.Type, e.Reason, e.Message)] = true
		}
		if len(got) == len(want) {
			for line := range want {
				if !got[line] {
					t.Errorf("got %v, want %q", got, line)
				}
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}
