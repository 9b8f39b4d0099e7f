package conformance

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// look is how often there may be a new pod without a node.
const look = 100 * time.Millisecond

// Bind stands in for a scheduler, for clusters of a step that has none: it binds
// every pod that waits for a node to the first one. It returns when ctx is done.
func Bind(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	nodes, err := api.CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	if len(nodes.Items) == 0 {
		return fmt.Errorf("the cluster of %s has no node", kubeconfig)
	}
	target := corev1.ObjectReference{Kind: "Node", Name: nodes.Items[0].Name}
	err = wait.PollUntilContextCancel(ctx, look, true, func(ctx context.Context) (bool, error) {
		bindAll(ctx, api, target)
		return false, nil // an API server that is away comes back
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func bindAll(ctx context.Context, api kubernetes.Interface, target corev1.ObjectReference) {
	pods, err := api.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName="})
	if err != nil {
		return
	}
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp != nil || len(pod.Spec.SchedulingGates) > 0 || pod.Spec.SchedulerName != corev1.DefaultSchedulerName {
			continue
		}
		binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID}, Target: target}
		// One that could not be bound still has no node at the next look.
		_ = api.CoreV1().Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{})
	}
}
