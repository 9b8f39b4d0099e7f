package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/image"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/nodetest"
)

// These tests run the kubelet as a process, with the runtime of step 00, on this
// machine's kernel: inside mount and network namespaces of their own, and below a
// cgroup of their own.

var built nodetest.Built

func TestMain(m *testing.M) {
	if os.Getenv("CNI_COMMAND") != "" { // containerd's way to call this binary
		os.Exit(cniPlugin())
	}
	nodetest.Main(m, main, &built)
}

// A node is a directory with everything that a kubelet has on a machine, and
// the kubelet that runs there at the moment.
type node struct {
	t        testing.TB
	dir      string
	cgroup   string
	endpoint string // of the container runtime; "" is the one in the kubelet
	kubelet  *exec.Cmd
	log      *os.File
}

func needsRoot(t testing.TB) { nodetest.NeedsRoot(t) }

const readOnlyPort = 18255

func newNode(t testing.TB) *node {
	needsRoot(t)
	n := &node{t: t, dir: t.TempDir(), cgroup: fmt.Sprintf("/groundup-test-kubelet-%d", os.Getpid())}
	// An unprivileged user in a container has to get through to its volumes.
	if err := errors.Join(os.Chmod(n.dir, 0o755), os.Chmod(filepath.Dir(n.dir), 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"manifests", "rt", "run"} {
		if err := os.MkdirAll(n.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conf := fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
staticPodPath: %s
podLogsDir: %s
cgroupRoot: %s
readOnlyPort: %d
healthzPort: 0
address: 127.0.0.1
`, n.path("manifests"), n.path("logs"), n.cgroup, readOnlyPort)
	n.write("kubelet.yaml", conf)
	store, err := image.Open(n.path("rt/images"))
	if err == nil {
		_, err = store.Import(t.Context(), built.Image, nodetest.Image)
	}
	if err != nil {
		t.Fatal(err)
	}
	if n.log, err = os.Create(n.path("kubelet.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.remove)
	return n
}

func (n *node) path(name string) string { return filepath.Join(n.dir, name) }

func (n *node) write(name, text string) {
	n.t.Helper()
	tmp := n.path("new")
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Rename(tmp, n.path(name)); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) start() {
	n.t.Helper()
	cmd := exec.Command("/proc/self/exe", "--config", n.path("kubelet.yaml"), "--root-dir", n.path("kubelet"),
		"--runtime-root", n.path("rt"), "--runtime-state", n.path("run"), "--shim", built.Shim, "--network", "bridge",
		"--hostname-override", "node", "--node-ip", "192.0.2.7")
	if n.endpoint != "" {
		cmd.Args = append(cmd.Args, "--container-runtime-endpoint", n.endpoint)
	}
	cmd.Env = append(os.Environ(), nodetest.AsKubelet+"=1")
	cmd.Stdout, cmd.Stderr = n.log, n.log
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.kubelet = cmd
}

// kill is kill -9.
func (n *node) kill() {
	if n.kubelet != nil {
		_ = n.kubelet.Process.Kill()
		_ = n.kubelet.Wait()
		n.kubelet = nil
	}
}

// cpuTime is the processor time that the kubelet has used (proc_pid_stat(5)).
func (n *node) cpuTime() time.Duration {
	n.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.kubelet.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name may hold anything
	var user, system int64
	fields := strings.Fields(rest)
	_, err = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	if err != nil {
		n.t.Fatal(err)
	}
	return time.Duration(user+system) * time.Second / 100
}

// killShims is kill -9 of the shim of every pod.
func (n *node) killShims() {
	n.t.Helper()
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range procs {
		cmdline, _ := os.ReadFile(p)
		if bytes.HasPrefix(cmdline, []byte(built.Shim)) && bytes.Contains(cmdline, []byte(n.path("run"))) {
			pid := 0
			if _, err := fmt.Sscanf(p, "/proc/%d/", &pid); err == nil {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
}

// remove stops all pods and fails the test if something is left of them.
func (n *node) remove() {
	if n.t.Failed() {
		log, _ := os.ReadFile(n.log.Name())
		n.t.Logf("the kubelet's log:\n%s", log)
	}
	n.kill()
	if err := os.RemoveAll(n.path("manifests")); err != nil {
		n.t.Error(err)
	}
	n.start()
	n.until("all pods to be gone", func(pods map[string]*corev1.Pod) bool { return pods != nil && len(pods) == 0 })
	n.stop()
	n.leftovers()
	cgroups, _ := filepath.Glob("/sys/fs/cgroup/*" + n.cgroup)
	cgroups = append(cgroups, "/sys/fs/cgroup"+n.cgroup)
	for _, dir := range cgroups {
		for _, sub := range []string{"kubepods/burstable", "kubepods/besteffort", "kubepods", ""} {
			_ = os.Remove(filepath.Join(dir, sub))
		}
	}
	_ = exec.Command("ip", "link", "del", "groundup0").Run()
}

// stop is SIGTERM.
func (n *node) stop() {
	n.t.Helper()
	if err := n.kubelet.Process.Signal(unix.SIGTERM); err != nil {
		n.t.Fatal(err)
	}
	if err := n.kubelet.Wait(); err != nil {
		n.t.Errorf("kubelet ended: %v", err)
	}
	n.kubelet = nil
}

// leftovers looks for what nothing should leave behind when the kubelet has
// ended. A pod's reaper ends a moment after its shim.
func (n *node) leftovers() {
	n.t.Helper()
	n.untilNone(func() []string { return append(processes(n.dir), n.ofPods()...) })
}

// leftoversOfPods waits until nothing is there that no pod should leave behind:
// what a killed kubelet left is found by its successor's first collection.
func (n *node) leftoversOfPods() {
	n.t.Helper()
	n.untilNone(n.ofPods)
}

func (n *node) untilNone(find func() []string) {
	n.t.Helper()
	var left []string
	for deadline := time.Now().Add(patience(20 * time.Second)); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		if left = find(); len(left) == 0 {
			return
		}
	}
	n.t.Errorf("left behind: %q", left)
}

// processes lists the command lines of processes that name the directory.
func processes(dir string) (found []string) {
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range procs {
		if cmdline, _ := os.ReadFile(p); bytes.Contains(cmdline, []byte(dir)) {
			found = append(found, string(cmdline))
		}
	}
	return found
}

// mounts lists the mounts on paths that begin so.
func mounts(prefixes ...string) (found []string) {
	all, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(all)) {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.Contains(line, " "+p) }) {
			found = append(found, line)
		}
	}
	return found
}

// ofPods lists the mounts, cgroups, directories and namespaces of pods.
func (n *node) ofPods() []string {
	found := mounts(n.dir+"/kubelet/", n.dir+"/run/", n.dir+"/rt/containers")
	for _, pattern := range []string{"/sys/fs/cgroup/*" + n.cgroup + "/kubepods/pod*", "/sys/fs/cgroup/*" + n.cgroup + "/kubepods/*/pod*",
		n.path("kubelet/pods/*"), n.path("logs/*"), n.path("run/pods/*"), n.path("run/netns/*")} {
		left, _ := filepath.Glob(pattern)
		found = append(found, left...)
	}
	return found
}

// pods asks the kubelet for its pods, by name; nil if it does not answer.
func (n *node) pods() map[string]*corev1.Pod {
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/pods", readOnlyPort))
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	var list corev1.PodList
	if json.NewDecoder(resp.Body).Decode(&list) != nil {
		return nil
	}
	pods := map[string]*corev1.Pod{}
	for i := range list.Items {
		pods[strings.TrimSuffix(list.Items[i].Name, "-node")] = &list.Items[i]
	}
	return pods
}

// until polls for a condition on the pods.
func (n *node) until(what string, ok func(map[string]*corev1.Pod) bool) {
	n.t.Helper()
	for end := time.Now().Add(patience(60 * time.Second)); ; time.Sleep(5 * time.Millisecond) {
		pods := n.pods()
		if ok(pods) {
			return
		}
		if time.Now().After(end) {
			data, _ := json.MarshalIndent(pods, "", " ")
			log, _ := os.ReadFile(n.log.Name())
			n.t.Fatalf("waited in vain for %s\npods: %s\nlog:\n%s", what, data, log)
		}
	}
}

// patience is a time limit as it is on this machine: a virtual one whose processor
// is emulated is told how many times slower it is (vms/cli).
func patience(limit time.Duration) time.Duration {
	factor, err := strconv.ParseFloat(os.Getenv("GROUNDUP_VM_FACTOR"), 64)
	if err != nil {
		return limit
	}
	return time.Duration(float64(limit) * factor)
}

func ready(pod *corev1.Pod) bool {
	if pod == nil {
		return false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// started waits until containers have noted their starts, which they do some time after
// they run, and wants these.
func (n *node) started(want map[string]int) {
	n.t.Helper()
	wanted := 0
	for _, count := range want {
		wanted += count
	}
	for end := time.Now().Add(patience(20 * time.Second)); ; time.Sleep(5 * time.Millisecond) {
		got, noted := n.starts(), 0
		for _, count := range got {
			noted += count
		}
		if maps.Equal(got, want) {
			return
		}
		if noted >= wanted || time.Now().After(end) {
			n.t.Errorf("got starts %v, want %v", got, want)
			return
		}
	}
}

// starts counts the lines that containers have noted.
func (n *node) starts() map[string]int {
	data, err := os.ReadFile(n.path("starts"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		n.t.Fatal(err)
	}
	counts := map[string]int{}
	for line := range strings.Lines(string(data)) {
		counts[strings.TrimSpace(line)]++
	}
	return counts
}
