package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/admission"
	apiresource "github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	apirows "github.com/k8s-groundup/groundup/steps/02-apiserver/rows"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/server/servertest"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/rows"
)

// kubeconfigFlag aims the tests at another API server: upstream's.
var kubeconfigFlag = flag.String("kubeconfig", "", "`file` of an API server to test with, which has no scheduler, no nodes and no admission by ServiceAccount; without it one is started")

// TestMain lets the test's own binary be the scheduler, for scripts and so that it
// can be killed.
func TestMain(m *testing.M) {
	if os.Getenv("BE_THE_SCHEDULER") != "" {
		main()
		return
	}
	testscript.Main(m, map[string]func(){"kube-scheduler": main})
}

// A cluster is an API server, and nodes of which nobody takes care.
type cluster struct {
	t          *testing.T
	kubeconfig string
	client     kubernetes.Interface
	namespace  string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	path := *kubeconfigFlag
	if path == "" {
		conf := servertest.Config()
		conf.Admission = []apiresource.Admission{admission.Priority{}}
		conf.Rows = append(conf.Rows, rows.All()...)
		conf.Scheme = apirows.Scheme(rows.AddToScheme)
		conf.Codecs = apirows.Codecs(conf.Scheme)
		_, rest := servertest.Start(t, conf)
		path = writeKubeconfig(t, rest.Host)
	}
	conf, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	conf.QPS = -1
	c := &cluster{t: t, kubeconfig: path, client: newClient(t, conf)}
	c.makeNamespace()
	return c
}

func newClient(t *testing.T, conf *rest.Config) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(conf)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func writeKubeconfig(t *testing.T, url string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"test": {Server: url}},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test"}},
		CurrentContext: "test",
	}, path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// makeNamespace makes the namespaces that a bare server has not got.
func (c *cluster) makeNamespace() {
	c.t.Helper()
	ns, err := c.client.CoreV1().Namespaces().Create(c.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.namespace = ns.Name
	c.t.Cleanup(func() { // nodes of other tests have the same names
		at := c.client.CoreV1().Pods(c.namespace)
		_ = at.DeleteCollection(context.WithoutCancel(c.t.Context()), metav1.DeleteOptions{GracePeriodSeconds: new(int64)}, metav1.ListOptions{}) // the server may be gone
	})
	for _, name := range []string{"kube-system", "default"} { // of the lease, and of events about nodes
		_, err := c.client.CoreV1().Namespaces().Create(c.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil && !strings.Contains(err.Error(), "already exists") {
			c.t.Fatal(err)
		}
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	_, err = c.client.CoreV1().ServiceAccounts(c.namespace).Create(c.t.Context(), account, metav1.CreateOptions{})
	if err != nil && !strings.Contains(err.Error(), "already exists") {
		c.t.Fatal(err)
	}
}

// node adds a node that is ready and has this much.
func (c *cluster) node(name, cpu string, change ...func(*corev1.Node)) {
	c.t.Helper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
	n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("32Gi"), corev1.ResourcePods: resource.MustParse("110")}
	n.Status.Capacity = n.Status.Allocatable
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	for _, f := range change {
		f(n)
	}
	made, err := c.client.CoreV1().Nodes().Create(c.t.Context(), n, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	made.Status = n.Status
	if _, err := c.client.CoreV1().Nodes().UpdateStatus(c.t.Context(), made, metav1.UpdateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = c.client.CoreV1().Nodes().Delete(context.WithoutCancel(c.t.Context()), name, metav1.DeleteOptions{}) // a test may have done so
	})
}

// pod makes a pod that asks for this much CPU.
func (c *cluster) pod(name, cpu string, change ...func(*corev1.Pod)) *corev1.Pod {
	c.t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.namespace, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}}}}}}
	for _, f := range change {
		f(p)
	}
	made, err := c.client.CoreV1().Pods(c.namespace).Create(c.t.Context(), p, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return made
}

func (c *cluster) get(name string) *corev1.Pod {
	c.t.Helper()
	p, err := c.client.CoreV1().Pods(c.namespace).Get(c.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

// schedule runs a scheduler in this process until the test, or stop, ends it.
func (c *cluster) schedule(args ...string) (stop func()) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	ended := make(chan error, 1)
	args = append([]string{"--kubeconfig", c.kubeconfig, "--bind-address", "127.0.0.1", "--secure-port", freePort(c.t), "--leader-elect=false", "--kube-api-qps=-1"}, args...)
	go func() { ended <- run(ctx, args, os.Stderr) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			c.t.Errorf("the scheduler ended with %v", err)
		}
	}
	c.t.Cleanup(stop)
	return stop
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// eventually polls until there is nothing to complain about.
func eventually(t *testing.T, complaint func() string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		c := complaint()
		if c == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(c)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// onNode waits until the pod is there; "" is any node.
func (c *cluster) onNode(pod, node string) {
	c.t.Helper()
	eventually(c.t, func() string {
		got := c.get(pod).Spec.NodeName
		if got == "" || node != "" && got != node {
			return fmt.Sprintf("pod %s is on node %q, want %q", pod, got, node)
		}
		return ""
	})
}

// condition waits until PodScheduled is false for this reason and with this message.
func (c *cluster) condition(pod, reason, message string) {
	c.t.Helper()
	eventually(c.t, func() string {
		for _, cond := range c.get(pod).Status.Conditions {
			if cond.Type == corev1.PodScheduled {
				if cond.Status == corev1.ConditionFalse && cond.Reason == reason && cond.Message == message {
					return ""
				}
				return fmt.Sprintf("pod %s: got %s %s: %s\nwant False %s: %s", pod, cond.Status, cond.Reason, cond.Message, reason, message)
			}
		}
		return "pod " + pod + " has no condition PodScheduled"
	})
}

// event waits for an event about the pod.
func (c *cluster) event(pod, reason, note string) {
	c.t.Helper()
	eventually(c.t, func() string {
		list, err := c.client.EventsV1().Events(c.namespace).List(c.t.Context(), metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		var seen []string
		for _, e := range list.Items {
			if e.Regarding.Name == pod && e.Reason == reason && strings.Contains(e.Note, note) {
				return ""
			}
			seen = append(seen, e.Regarding.Name+" "+e.Reason+": "+e.Note)
		}
		return fmt.Sprintf("no event %s about %s with %q among:\n%s", reason, pod, note, strings.Join(seen, "\n"))
	})
}

// A process is a scheduler that can be killed.
func (c *cluster) process(args ...string) *exec.Cmd {
	c.t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"--kubeconfig", c.kubeconfig, "--bind-address", "127.0.0.1", "--secure-port", freePort(c.t)}, args...)...)
	cmd.Env = append(os.Environ(), "BE_THE_SCHEDULER=1")
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
