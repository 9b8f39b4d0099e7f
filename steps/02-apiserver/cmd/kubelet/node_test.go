package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/00-container/image"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/nodetest"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/apiclient"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/pki"
)

// These tests run an API server and a kubelet as processes, with the runtime of
// step 00, on this machine's kernel.

var (
	built     nodetest.Built
	apiserver string // the program
)

func TestMain(m *testing.M) {
	nodetest.Main(m, main, &built, func(dir string) error {
		apiserver = filepath.Join(dir, "kube-apiserver")
		return nodetest.Build(apiserver, "02-apiserver", "./cmd/kube-apiserver", "0")
	})
}

// A cluster is a directory with everything that one machine has, and the API server
// and the kubelet that run there at the moment.
type cluster struct {
	t      testing.TB
	dir    string
	cgroup string
	log    *os.File
	api    *exec.Cmd
	node   *exec.Cmd
	client kubernetes.Interface // the administrator's
}

const url = "https://127.0.0.1:6443"

// newCluster starts both. At the end everything has to be gone.
func newCluster(t testing.TB) *cluster {
	nodetest.NeedsRoot(t)
	c := &cluster{t: t, dir: t.TempDir(), cgroup: fmt.Sprintf("/groundup-test-cluster-%d", os.Getpid())}
	for _, dir := range []string{"manifests", "rt", "run", "data"} {
		c.check(os.MkdirAll(c.path(dir), 0o755))
	}
	// An unprivileged user in a container has to get through to its volumes.
	c.check(errors.Join(os.Chmod(c.dir, 0o755), os.Chmod(filepath.Dir(c.dir), 0o755)))
	store, err := image.Open(c.path("rt/images"))
	c.check(err)
	_, err = store.Import(t.Context(), built.Image, nodetest.Image)
	c.check(err)
	c.log, err = os.Create(c.path("log"))
	c.check(err)
	c.credentials()
	c.write("kubelet.yaml", fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
staticPodPath: %s
podLogsDir: %s
cgroupRoot: %s
tlsCertFile: %s
tlsPrivateKeyFile: %s
authentication: {x509: {clientCAFile: %s}}
nodeStatusUpdateFrequency: 1s
nodeStatusReportFrequency: 5m
healthzPort: 0
address: 127.0.0.1
evictionHard: {memory.available: 1Mi}
`, c.path("manifests"), c.path("logs"), c.cgroup, c.path("kubelet.crt"), c.path("kubelet.key"), c.path("data/pki/ca.crt")))
	t.Cleanup(c.remove)
	c.startAPI()
	c.startNode()
	return c
}

// credentials makes the authority, and what the kubelet is known by.
func (c *cluster) credentials() {
	authority, err := pki.Ensure(c.path("data/pki"))
	c.check(err)
	c.check(authority.EnsureKubeconfig(c.path("kubelet.conf"), url, pki.Kubeconfigs("node")["kubelet.conf"]))
	c.check(authority.Ensure(c.path("kubelet"), pki.Leaf{User: "system:node:node", Names: []string{"node"}, Addresses: []net.IP{net.IPv4(127, 0, 0, 1)}}))
}

func (c *cluster) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }

func (c *cluster) write(name, text string) {
	c.t.Helper()
	c.check(os.WriteFile(c.path("new"), []byte(text), 0o644))
	c.check(os.Rename(c.path("new"), c.path(name)))
}

func (c *cluster) start(cmd *exec.Cmd) *exec.Cmd {
	c.t.Helper()
	cmd.Stdout, cmd.Stderr = c.log, c.log
	c.check(cmd.Start())
	return cmd
}

func (c *cluster) startAPI() {
	c.t.Helper()
	c.api = c.start(exec.Command(apiserver, "--data-dir", c.path("data"), "--kubelet-preferred-address-types", "InternalIP"))
	c.eventually("the API server to be ready", func() error {
		clients, err := apiclient.New(apiclient.Config{Kubeconfig: c.path("data/admin.kubeconfig"), Component: "test", QPS: -1})
		if err != nil {
			return err
		}
		c.client = clients.API
		_, err = c.client.CoreV1().Namespaces().Get(context.Background(), "default", metav1.GetOptions{})
		return err
	})
}

func (c *cluster) startNode() {
	c.t.Helper()
	cmd := exec.Command("/proc/self/exe", "--config", c.path("kubelet.yaml"), "--kubeconfig", c.path("kubelet.conf"), "--root-dir", c.path("kubelet"),
		"--runtime-root", c.path("rt"), "--runtime-state", c.path("run"), "--shim", built.Shim, "--network", "bridge",
		"--hostname-override", "node", "--node-ip", "127.0.0.1", "--node-labels", "disk=ssd")
	cmd.Env = append(os.Environ(), nodetest.AsKubelet+"=1")
	c.node = c.start(cmd)
}

// kill is kill -9.
func kill(cmd **exec.Cmd) {
	if *cmd != nil {
		_ = (*cmd).Process.Kill()
		_ = (*cmd).Wait()
		*cmd = nil
	}
}

// remove deletes all pods and fails the test if something is left of them.
func (c *cluster) remove() {
	defer func() {
		if c.t.Failed() {
			log, _ := os.ReadFile(c.log.Name())
			c.t.Logf("the log:\n%s", log)
		}
	}()
	defer kill(&c.api)
	defer kill(&c.node)
	if c.client == nil {
		return
	}
	if c.api == nil {
		c.startAPI()
	}
	if c.node == nil {
		c.startNode()
	}
	files, err := filepath.Glob(c.path("manifests/*"))
	c.check(err)
	for _, file := range files {
		c.check(os.Remove(file))
	}
	pods, err := c.client.CoreV1().Pods("").List(context.Background(), metav1.ListOptions{})
	c.check(err)
	for _, pod := range pods.Items {
		err := c.client.CoreV1().Pods(pod.Namespace).Delete(context.Background(), pod.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			c.t.Error(err)
		}
	}
	c.eventually("nothing to be left of the pods", c.nothingLeft)
	for _, stop := range []*exec.Cmd{c.node, c.api} {
		c.check(stop.Process.Signal(unix.SIGTERM))
		if err := stop.Wait(); err != nil {
			c.t.Errorf("%s: %v", stop, err)
		}
	}
	c.node, c.api = nil, nil
	cgroups, _ := filepath.Glob("/sys/fs/cgroup/*" + c.cgroup)
	for _, dir := range append(cgroups, "/sys/fs/cgroup"+c.cgroup) {
		for _, sub := range []string{"kubepods/burstable", "kubepods/besteffort", "kubepods", ""} {
			_ = os.Remove(filepath.Join(dir, sub))
		}
	}
	_ = exec.Command("ip", "link", "del", "groundup0").Run()
}

// nothingLeft looks for pods in the API, and for mounts, cgroups, directories and
// namespaces of pods on the node.
func (c *cluster) nothingLeft() error {
	pods, err := c.client.CoreV1().Pods("").List(context.Background(), metav1.ListOptions{})
	if err != nil {
		return err
	}
	var left []string
	for _, pod := range pods.Items {
		left = append(left, pod.Namespace+"/"+pod.Name)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, c.dir+"/kubelet/") || strings.Contains(line, c.dir+"/run/") || strings.Contains(line, c.dir+"/rt/containers") {
			left = append(left, line)
		}
	}
	for _, pattern := range []string{"/sys/fs/cgroup/*" + c.cgroup + "/kubepods/pod*", "/sys/fs/cgroup/*" + c.cgroup + "/kubepods/*/pod*",
		c.path("kubelet/pods/*"), c.path("logs/*"), c.path("run/pods/*"), c.path("run/netns/*")} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		left = append(left, found...)
	}
	if left != nil {
		return fmt.Errorf("left: %q", left)
	}
	return nil
}

// eventually polls until there is no error.
func (c *cluster) eventually(what string, ok func() error) {
	c.t.Helper()
	var err error
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); <-time.After(10 * time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
	}
	c.t.Fatalf("waited in vain for %s: %v", what, err)
}

// podOf makes a pod of a spec, on this node.
func (c *cluster) podOf(name, spec string) *corev1.Pod {
	c.t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
	c.check(yaml.UnmarshalStrict([]byte(spec), &pod.Spec))
	pod.Spec.NodeName = "node"
	return pod
}

// create creates a pod. A namespace's service account takes a moment to be there.
func (c *cluster) create(name, spec string) {
	c.t.Helper()
	pod := c.podOf(name, spec)
	c.eventually("pod "+name+" to be let in", func() error {
		_, err := c.client.CoreV1().Pods("default").Create(context.Background(), pod, metav1.CreateOptions{})
		return err
	})
}

func (c *cluster) get(name string) (*corev1.Pod, error) {
	return c.client.CoreV1().Pods("default").Get(context.Background(), name, metav1.GetOptions{})
}

// until waits for a condition of a pod and returns it.
func (c *cluster) until(name, what string, ok func(*corev1.Pod) bool) *corev1.Pod {
	c.t.Helper()
	var pod *corev1.Pod
	c.eventually("pod "+name+" to be "+what, func() (err error) {
		if pod, err = c.get(name); err != nil {
			return err
		}
		if !ok(pod) {
			return fmt.Errorf("it is %+v", pod.Status)
		}
		return nil
	})
	return pod
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func (c *cluster) gone(name string) {
	c.t.Helper()
	c.eventually("pod "+name+" to be gone", func() error {
		_, err := c.get(name)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there: %w", err)
	})
}

// logOf returns what the pod's container has printed, as the node keeps it.
func (c *cluster) logOf(pod *corev1.Pod) string {
	files, _ := filepath.Glob(c.path(fmt.Sprintf("logs/%s_%s_%s/*/*.log", pod.Namespace, pod.Name, pod.UID)))
	var all bytes.Buffer
	for _, file := range files {
		data, _ := os.ReadFile(file)
		all.Write(data)
	}
	return all.String()
}

// startedAt is when the pod's container was started: it changes when it is restarted.
func startedAt(pod *corev1.Pod) string {
	s := pod.Status.ContainerStatuses[0]
	if s.State.Running == nil {
		return ""
	}
	return s.ContainerID + s.State.Running.StartedAt.String()
}

// between returns a random time.
func between(low, high time.Duration) time.Duration { return low + rand.N(high-low) }

// pids are the processes in the pod's cgroup.
func (c *cluster) pids(pod *corev1.Pod) (all []int) {
	for _, pattern := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		dirs, _ := filepath.Glob(pattern + c.cgroup + "/kubepods/*/pod" + string(pod.UID) + "/*/cgroup.procs")
		for _, file := range dirs {
			data, _ := os.ReadFile(file)
			for line := range strings.Lines(string(data)) {
				pid := 0
				if _, err := fmt.Sscan(line, &pid); err == nil {
					all = append(all, pid)
				}
			}
		}
	}
	return all
}

func (c *cluster) processes(pod *corev1.Pod) int { return len(c.pids(pod)) }

// stopContainer kills the program of the pod's container.
func (c *cluster) stopContainer(pod *corev1.Pod) {
	c.t.Helper()
	c.eventually("the program of pod "+pod.Name+" to be found", func() error {
		for _, pid := range c.pids(pod) {
			line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if err == nil && bytes.HasPrefix(line, []byte("/prog")) {
				return unix.Kill(pid, unix.SIGKILL)
			}
		}
		return errors.New("no such process")
	})
}
