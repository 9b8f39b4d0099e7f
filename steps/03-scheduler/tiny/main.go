// Tiny is a scheduler of forty lines: it gives every pod that asks for it by
// spec.schedulerName a node at random. It shows what a scheduler is made of, a
// watch and a write, and what is missing in it, which is the rest of this step.
package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal("the watch has ended: ", schedule(context.Background(), kubernetes.NewForConfigOrDie(config).CoreV1()))
}

// schedule looks for pods that have no node, and writes one into them.
func schedule(ctx context.Context, api corev1client.CoreV1Interface) error {
	waiting, err := api.Pods("").Watch(ctx, metav1.ListOptions{FieldSelector: "spec.schedulerName=tiny,spec.nodeName="})
	if err != nil {
		return err
	}
	for event := range waiting.ResultChan() {
		pod, ok := event.Object.(*corev1.Pod)
		if !ok || event.Type != watch.Added {
			continue // it was bound, or is gone
		}
		nodes, err := api.Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		node := nodes.Items[rand.IntN(len(nodes.Items))].Name
		binding := &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Name: pod.Name, UID: pod.UID},
			Target:     corev1.ObjectReference{Kind: "Node", Name: node},
		}
		if err := api.Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{}); err != nil {
			return err
		}
		fmt.Println(pod.Name, "→", node)
	}
	return nil
}
