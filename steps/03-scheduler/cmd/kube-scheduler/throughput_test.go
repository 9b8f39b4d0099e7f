package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/clientcmd"

	"golang.org/x/sync/errgroup"
)

var (
	throughputPods   = flag.Int("pods", 200, "`how many` pods the scheduler works off")
	throughputNodes  = flag.Int("nodes", 20, "on `how many` nodes")
	throughputServer = flag.String("apiserver", "", "`program` to work with, ours; without it a server in this process is")
	throughputBy     = flag.String("scheduler", "", "`program` to measure; without it this one is")
)

// A backlog is worked off: every pod gets a node, and no node too much.
func TestBacklog(t *testing.T) {
	c := newCluster(t)
	if *throughputServer != "" {
		c = newClusterOf(t, *throughputServer)
	}
	var group errgroup.Group
	group.SetLimit(32)
	for i := range *throughputNodes {
		group.Go(func() error { c.node(fmt.Sprintf("node-%d", i), "8"); return nil })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for i := range *throughputPods {
		group.Go(func() error { c.pod(fmt.Sprintf("pod-%d", i), "100m"); return nil })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	w, err := c.client.CoreV1().Pods(c.namespace).Watch(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName!="})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	bound := make(chan time.Time, *throughputPods)
	go func() {
		seen := map[string]bool{}
		for e := range w.ResultChan() {
			if pod, ok := e.Object.(*corev1.Pod); ok && e.Type != watch.Deleted && !seen[pod.Name] {
				seen[pod.Name] = true
				bound <- time.Now()
			}
		}
	}()
	var scheduler *exec.Cmd
	switch {
	case *throughputBy != "":
		scheduler = c.program(*throughputBy)
	case *throughputServer != "":
		scheduler = c.process("--leader-elect=false", "--kube-api-qps=-1")
	default:
		c.schedule()
	}
	first := <-bound
	last := first
	for range *throughputPods - 1 {
		select {
		case last = <-bound:
		case <-time.After(2 * time.Minute):
			t.Fatal("nothing is bound any more")
		}
	}
	took := last.Sub(first)
	t.Logf("%d pods on %d nodes in %v: %.0f/s", *throughputPods, *throughputNodes, took, float64(*throughputPods-1)/took.Seconds())
	if scheduler != nil {
		t.Logf("memory: %s", resident(t, scheduler.Process.Pid))
	}
	if n := c.overcommitted(); n != "" {
		t.Error(n)
	}
}

// program starts another scheduler with the same wishes.
func (c *cluster) program(path string) *exec.Cmd {
	c.t.Helper()
	conf := filepath.Join(c.t.TempDir(), "config.yaml")
	text := fmt.Sprintf("apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nleaderElection: {leaderElect: false}\n"+
		"clientConnection: {kubeconfig: %s, qps: 10000, burst: 10000}\n", c.kubeconfig)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command(path, "--config", conf, "--secure-port", freePort(c.t), "--bind-address", "127.0.0.1", "--authentication-skip-lookup")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // "signal: killed"
	})
	return cmd
}

// newClusterOf starts the program of an API server.
func newClusterOf(t *testing.T, program string) *cluster {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(program, "--data-dir", dir, "--secure-port", freePort(t))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // "signal: killed"
	})
	c := &cluster{t: t, kubeconfig: filepath.Join(dir, "admin.kubeconfig")}
	eventually(t, func() string {
		conf, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
		if err != nil {
			return err.Error()
		}
		conf.QPS, conf.ContentType = -1, "application/vnd.kubernetes.protobuf"
		c.client = newClient(t, conf)
		if err := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(t.Context()).Error(); err != nil {
			return err.Error()
		}
		return ""
	})
	c.makeNamespace()
	return c
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

// resident is how much memory a process has.
func resident(t *testing.T, pid int) string {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "unknown"
}
