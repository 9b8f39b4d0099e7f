package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Pods are the pods of a node, as its kubelet tells.
func (c *Cluster) Pods(ctx context.Context, node Node) ([]corev1.Pod, error) {
	body, err := c.Get(ctx, node.Kubelet()+"/pods")
	if err != nil {
		return nil, fmt.Errorf("ask the kubelet of %s: %w", node.Name, err)
	}
	defer body.Close()
	var list corev1.PodList
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		return nil, fmt.Errorf("pods of %s: %w", node.Name, err)
	}
	return list.Items, nil
}

// IsReady says whether the pod has the condition Ready.
func IsReady(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
