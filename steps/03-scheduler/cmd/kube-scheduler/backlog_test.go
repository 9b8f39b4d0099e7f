package main

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"golang.org/x/sync/errgroup"
)

// A backlog is worked off: every pod gets a node, no node too much, and all of it is
// told. How fast is for `make bench-scheduler` to say.
func TestBacklog(t *testing.T) {
	const nodes, pods = 20, 200
	c := newCluster(t)
	var group errgroup.Group
	group.SetLimit(32)
	for i := range nodes {
		group.Go(func() error { c.node(fmt.Sprintf("node-%d", i), "8"); return nil })
	}
	_ = group.Wait() // who fails has said so
	for i := range pods {
		group.Go(func() error { c.pod(fmt.Sprintf("pod-%d", i), "100m"); return nil })
	}
	_ = group.Wait()
	c.schedule()
	eventually(t, func() string {
		waiting, err := c.client.CoreV1().Pods(c.namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName="})
		if err != nil {
			return err.Error()
		}
		if n := len(waiting.Items); n > 0 {
			return fmt.Sprintf("%d pods wait for a node", n)
		}
		return ""
	})
	if n := c.overcommitted(); n != "" {
		t.Error(n)
	}
	eventually(t, func() string { // they may come later than the binds
		list, err := c.client.EventsV1().Events(c.namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=Scheduled"})
		if err != nil {
			return err.Error()
		}
		about := map[string]bool{}
		for _, e := range list.Items {
			about[e.Regarding.Name] = true
		}
		if len(about) != pods {
			return fmt.Sprintf("there are events about %d pods, want %d", len(about), pods)
		}
		return ""
	})
}

// overcommitted says which node has more than it can give.
func (c *cluster) overcommitted() string {
	c.t.Helper()
	pods, err := c.client.CoreV1().Pods("").List(c.t.Context(), metav1.ListOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	used := map[string]int64{}
	for _, p := range pods.Items {
		if p.Status.Phase != corev1.PodFailed && p.Status.Phase != corev1.PodSucceeded {
			used[p.Spec.NodeName] += p.Spec.Containers[0].Resources.Requests.Cpu().MilliValue()
		}
	}
	nodes, err := c.client.CoreV1().Nodes().List(c.t.Context(), metav1.ListOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, n := range nodes.Items {
		if has := n.Status.Allocatable.Cpu().MilliValue(); used[n.Name] > has {
			return fmt.Sprintf("node %s has %dm of CPU, and %dm are requested", n.Name, has, used[n.Name])
		}
	}
	return ""
}
