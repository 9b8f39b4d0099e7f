// Package endtoend runs pods through criconfig, the volumes and the kubelet's
// server with the real runtime of step 00, without the kubelet between them:
// each container looks at itself, and tells by exec what it has got.
package endtoend

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/00-container/cri"
	imagestore "github.com/k8s-groundup/groundup/steps/00-container/image"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig/userns"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/lifecycle"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/probe"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/server"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/stats"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/downwardapi"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/emptydir"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/hostpath"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/volumetest"
)

const image = "groundup.test/guest:v1"

func TestMain(m *testing.M) { volumetest.Main(m) }

func TestPods(t *testing.T) {
	volumetest.Root(t)
	bin := t.TempDir()
	build(t, filepath.Join(bin, "runtime-shim"), "../../../00-container", "./cmd/runtime-shim", "1")
	build(t, filepath.Join(bin, "guest"), "", "./testdata/guest", "0")
	for name, test := range map[string]func(*testing.T, *machine){
		"what a container gets": whatAContainerGets,
		"logs":                  logs,
		"exec":                  execStreams,
		"port forward":          portForward,
		"user namespace":        userNamespace,
		"stats":                 numbers,
		"probes":                probes,
	} {
		t.Run(name, func(t *testing.T) { test(t, newMachine(t, bin)) })
	}
}

// A machine is a runtime, the volumes, and a server, in a directory of its own.
type machine struct {
	t       *testing.T
	node    criconfig.Node
	runtime *cri.Service
	volumes *volume.Manager
	url     string
	cgroup  string
	pods    []*corev1.Pod
}

func newMachine(t *testing.T, bin string) *machine {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) { // users of the pods must get through
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	m := &machine{t: t, cgroup: fmt.Sprintf("/groundup-test-endtoend-%d", os.Getpid())}
	ids, err := userns.New(at("kubelet/pods"), 8)
	if err != nil {
		t.Fatal(err)
	}
	m.node = criconfig.Node{
		Name: "node-1", RootDir: at("kubelet"), PodLogsDir: at("logs"), CPUCFSQuota: true, ClusterDomain: "cluster.local", IDRange: ids.Get,
		Allocatable: corev1.ResourceList{"memory": resource.MustParse("1Gi")}, Capacity: corev1.ResourceList{"memory": resource.MustParse("1Gi")},
		HostDNS: criconfig.DNS{Servers: []string{"192.0.2.53"}}, AllowedUnsafeSysctls: []string{"net.core.somaxconn"},
	}
	m.volumes = volume.NewManager(volume.Config{RootDir: m.node.RootDir, Plugins: []volume.Plugin{emptydir.Plugin{}, hostpath.Plugin{}, downwardapi.Plugin{}}})
	m.runtime, err = cri.Open(cri.Config{Root: at("root"), State: at("state"), ShimPath: filepath.Join(bin, "runtime-shim"), CgroupParent: m.cgroup})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.close)
	importImage(t, at("root/images"), filepath.Join(bin, "guest"), at("guest.tar"))
	srv, err := server.New(server.Config{
		Kubelet: m, Runtime: m.runtime, Streaming: m.runtime.Streaming(), PodLogsDir: m.node.PodLogsDir,
		Stats: stats.New(stats.Config{Runtime: m.runtime, Images: m.runtime, Pods: m.Pods, Volumes: m.volumes.Usage, CgroupRoot: "/", RootDir: dir, PodLogsDir: m.node.PodLogsDir}),
	})
	if err != nil {
		t.Fatal(err)
	}
	api := httptest.NewServer(srv.Handler())
	t.Cleanup(api.Close)
	m.url = api.URL
	return m
}

// Pods, RunningPods and SyncLoopHealthy make the machine a server.Kubelet.
func (m *machine) Pods() []*corev1.Pod                                { return m.pods }
func (m *machine) RunningPods(context.Context) ([]*corev1.Pod, error) { return m.pods, nil }
func (m *machine) SyncLoopHealthy() error                             { return nil }

func (m *machine) close() {
	ctx := context.Background()
	for _, pod := range m.pods {
		list, err := m.runtime.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
		if err != nil {
			m.t.Error(err)
			continue
		}
		for _, s := range list.Items {
			_, err := m.runtime.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: s.Id})
			if err == nil {
				_, err = m.runtime.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: s.Id})
			}
			if err != nil {
				m.t.Error(err)
			}
		}
		if err := m.volumes.Unmount(ctx, pod.UID); err != nil {
			m.t.Error(err)
		}
	}
	if err := m.runtime.Close(); err != nil {
		m.t.Error(err)
	}
	dirs, _ := filepath.Glob("/sys/fs/cgroup/*" + m.cgroup)
	for _, dir := range append(dirs, "/sys/fs/cgroup"+m.cgroup) {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			m.t.Error(err)
		}
	}
}

// build builds a program in its own module: what the shim links, this one does
// not require.
func build(t *testing.T, to, module, pkg, cgo string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", to, pkg)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// importImage makes an image of one file and puts it into the runtime's store.
func importImage(t *testing.T, store, program, archive string) {
	t.Helper()
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, dir := range []string{"tmp/", "etc/", "proc/", "sys/", "dev/"} {
		if err := w.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
	}
	_ = w.WriteHeader(&tar.Header{Name: "guest", Mode: 0o755, Size: int64(len(data))})
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err == nil {
		img, err = mutate.Config(img, v1.Config{Entrypoint: []string{"/guest"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(archive, tag, img); err != nil {
		t.Fatal(err)
	}
	images, err := imagestore.Open(store)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := images.Import(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
}

// run starts a pod with one container, "main", and waits for nothing.
func (m *machine) run(spec string) *corev1.Pod {
	m.t.Helper()
	ctx := m.t.Context()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "1234", Labels: map[string]string{"app": "web"}}}
	if err := yaml.UnmarshalStrict([]byte(spec), &pod.Spec); err != nil {
		m.t.Fatal(err)
	}
	if why := criconfig.Admit(m.node, pod); why != nil {
		m.t.Fatalf("not admitted: %+v", *why)
	}
	m.pods = append(m.pods, pod)
	for _, dir := range []string{filepath.Join(m.node.LogDir(pod), "main"), m.node.PodDir(pod.UID)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			m.t.Fatal(err)
		}
	}
	mounted, err := m.volumes.Mount(ctx, pod)
	if err != nil {
		m.t.Fatal(err)
	}
	sandboxConfig, err := criconfig.Sandbox(m.node, pod, 0, m.cgroup)
	if err != nil {
		m.t.Fatal(err)
	}
	sandbox, err := m.runtime.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: sandboxConfig})
	if err != nil {
		m.t.Fatal(err)
	}
	config, err := criconfig.Container(criconfig.Input{
		Node: m.node, Pod: pod, Container: &pod.Spec.Containers[0], Image: m.image(), PodIPs: []string{"10.9.8.7"},
		Volumes: mounted, SubPath: m.volumes.SubPaths(pod, "main", mounted), HostsFile: m.hosts(pod),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	created, err := m.runtime.CreateContainer(ctx, &runtimeapi.CreateContainerRequest{PodSandboxId: sandbox.PodSandboxId, Config: config, SandboxConfig: sandboxConfig})
	if err == nil {
		_, err = m.runtime.StartContainer(ctx, &runtimeapi.StartContainerRequest{ContainerId: created.GetContainerId()})
	}
	if err != nil {
		m.t.Fatal(err)
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "main", ContainerID: "groundup://" + created.ContainerId, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
	}}
	return pod
}

func (m *machine) image() *runtimeapi.Image {
	m.t.Helper()
	reply, err := m.runtime.ImageStatus(m.t.Context(), &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: image}})
	if err != nil || reply.GetImage() == nil {
		m.t.Fatalf("image: %v, %v", reply, err)
	}
	return reply.Image
}

func (m *machine) hosts(pod *corev1.Pod) string {
	m.t.Helper()
	content, err := criconfig.HostsFile(m.node, pod, []string{"10.9.8.7"}, nil)
	if err == nil {
		err = os.WriteFile(m.node.HostsPath(pod.UID), content, 0o644)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return m.node.HostsPath(pod.UID)
}

// ask runs a command in the pod by POST /run, without the final newline.
func (m *machine) ask(command string) string {
	m.t.Helper()
	res, err := http.Post(m.url+"/run/default/web/main?cmd="+strings.ReplaceAll("/guest "+command, " ", "+"), "", nil)
	if err != nil {
		m.t.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.TrimSuffix(string(out), "\n")
}

func (m *machine) expect(command, want string) {
	m.t.Helper()
	if got := m.ask(command); got != want {
		m.t.Errorf("%s: got %q, want %q", command, got, want)
	}
}

func whatAContainerGets(t *testing.T, m *machine) {
	m.run(`
hostname: shop
subdomain: db
hostAliases: [{ip: 10.1.1.1, hostnames: [alias]}]
securityContext:
  runAsUser: 1000
  runAsGroup: 3000
  fsGroup: 4000
  supplementalGroups: [5000]
  sysctls: [{name: net.core.somaxconn, value: "77"}]
volumes:
- {name: data, emptyDir: {}}
- {name: memory, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
- {name: info, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
containers:
- name: main
  image: groundup.test/guest:v1
  command: [/guest]
  args: [serve, "8080"]
  env:
  - {name: WHO, value: "$(POD) on $(NODE)"}
  - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
  - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
  - {name: GREETING, value: "$(POD)@$(NODE)"}
  - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
  resources: {limits: {cpu: 500m, memory: 64Mi}}
  securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false}
  volumeMounts:
  - {name: data, mountPath: /data}
  - {name: data, mountPath: /sub, subPathExpr: "dir/$(POD)"}
  - {name: data, mountPath: /ro, readOnly: true}
  - {name: memory, mountPath: /memory}
  - {name: info, mountPath: /info}
`)
	m.expect("id", "1000 3000 [3000 4000 5000]")
	m.expect("hostname", "shop")
	m.expect("env WHO", "$(POD) on $(NODE)")
	m.expect("env GREETING", "web@node-1")
	m.expect("env IP", "10.9.8.7")
	m.expect("stat /data", "dgrwxrwxrwx 0 4000")
	m.expect("stat /memory", "dgrwxrwxrwx 0 4000")
	m.expect("cat /info/labels", `app="web"`)
	m.expect("write /data/f x", "")
	m.expect("stat /data/f", "-rw-r--r-- 1000 4000")
	m.expect("write /sub/f sub", "")
	m.expect("cat /data/dir/web/f", "sub")
	m.expect("cat /proc/sys/net/core/somaxconn", "77")
	for command, refusal := range map[string]string{
		"write /ro/f x": "read-only file system", "write /f x": "read-only file system", "write /info/x x": "read-only file system",
	} {
		if got := m.ask(command); !strings.Contains(got, refusal) {
			t.Errorf("%s: got %q, want %s", command, got, refusal)
		}
	}
	if got := m.ask("cat /etc/hosts"); !strings.Contains(got, "10.9.8.7\tshop.db.default.svc.cluster.local\tshop\n") || !strings.Contains(got, "10.1.1.1\talias") {
		t.Errorf("hosts: got %s", got)
	}
	if got := m.ask("cat /etc/resolv.conf"); !strings.Contains(got, "nameserver 192.0.2.53") {
		t.Errorf("resolv.conf: got %s", got)
	}
	if got := m.ask("cat /proc/self/status"); !strings.Contains(got, "NoNewPrivs:\t1") {
		t.Errorf("status: got %s", got)
	}
}

func logs(t *testing.T, m *machine) {
	m.run(`containers: [{name: main, image: "groundup.test/guest:v1", args: [serve, "8080"]}]`)
	res, err := http.Get(m.url + "/containerLogs/default/web/main?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	seen := map[string]bool{}
	for range 2 { // the two streams are not ordered
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		seen[line] = true
	}
	if !seen["serving\n"] || !seen["on 8080\n"] {
		t.Errorf("got %v", seen)
	}
	id := strings.TrimPrefix(m.pods[0].Status.ContainerStatuses[0].ContainerID, "groundup://")
	if _, err := m.runtime.StopContainer(t.Context(), &runtimeapi.StopContainerRequest{ContainerId: id, Timeout: 10}); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(lines); err != nil || string(rest) != "stopped\n" {
		t.Errorf("got %q, %v, want the last line and the end", rest, err)
	}
	for query, want := range map[string]string{"stream=Stderr": "on 8080\n", "tailLines=1": "stopped\n", "stream=Stdout": "serving\nstopped\n"} {
		res, err := http.Get(m.url + "/containerLogs/default/web/main?" + query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", query, got, err, want)
		}
	}
}

func upgrade(t *testing.T, target, protocol string) httpstream.Connection {
	t.Helper()
	transport, err := spdy.NewRoundTripper(nil)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("POST", target, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(httpstream.HeaderProtocolVersion, protocol)
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	conn, err := transport.NewConnection(res)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func stream(t *testing.T, conn httpstream.Connection, pairs ...string) httpstream.Stream {
	t.Helper()
	s, err := conn.CreateStream(header(pairs))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func header(pairs []string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func execStreams(t *testing.T, m *machine) {
	m.run(`containers: [{name: main, image: "groundup.test/guest:v1", args: [serve, "8080"]}]`)
	exec := func(query string, input string) (stdout, status string) {
		t.Helper()
		conn := upgrade(t, m.url+"/exec/default/web/main?"+query, "v4.channel.k8s.io")
		errs := stream(t, conn, "streamType", "error")
		if strings.Contains(query, "input=1") {
			in := stream(t, conn, "streamType", "stdin")
			if _, err := io.WriteString(in, input); err != nil {
				t.Fatal(err)
			}
			in.Close()
		}
		if strings.Contains(query, "tty=1") {
			stream(t, conn, "streamType", "resize")
		}
		out, err := io.ReadAll(stream(t, conn, "streamType", "stdout"))
		if err != nil {
			t.Fatal(err)
		}
		result, err := io.ReadAll(errs)
		if err != nil {
			t.Fatal(err)
		}
		return string(out), string(result)
	}
	if out, status := exec("command=/guest&command=cat&input=1&output=1", "hello"); out != "hello" || !strings.Contains(status, `"Success"`) {
		t.Errorf("cat: got %q, %s", out, status)
	}
	if _, status := exec("command=/guest&command=exit&command=7&output=1", ""); !strings.Contains(status, `"NonZeroExitCode"`) || !strings.Contains(status, `"7"`) {
		t.Errorf("exit 7: got %s", status)
	}
	if out, _ := exec("command=/guest&command=echo&command=x&output=1&tty=1", ""); out != "x\r\n" {
		t.Errorf("echo on a terminal: got %q", out)
	}
}

func portForward(t *testing.T, m *machine) {
	m.run(`containers: [{name: main, image: "groundup.test/guest:v1", args: [serve, "8080"]}]`)
	// The server in the pod may not listen yet.
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		got, err := forward(t, m, "GET / HTTP/1.0\r\n\r\n")
		if err == nil && strings.HasSuffix(got, "hello from the pod") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

// forward sends something to the pod's port 8080 and returns the answer. Where
// nobody listens the streams are reset, at times before their creation is done.
func forward(t *testing.T, m *machine, send string) (string, error) {
	t.Helper()
	conn := upgrade(t, m.url+"/portForward/default/web", "portforward.k8s.io")
	errs, err := conn.CreateStream(header([]string{"streamType", "error", "port", "8080", "requestID", "1"}))
	if err != nil {
		return "", err
	}
	errs.Close()
	data, err := conn.CreateStream(header([]string{"streamType", "data", "port", "8080", "requestID", "1"}))
	if err != nil {
		return "", err
	}
	if _, err := io.WriteString(data, send); err != nil {
		return "", err
	}
	got, err := io.ReadAll(data)
	if err != nil {
		why, _ := io.ReadAll(errs)
		err = fmt.Errorf("%w: %s", err, why)
	}
	return string(got), err
}

func userNamespace(t *testing.T, m *machine) {
	pod := m.run(`
hostUsers: false
volumes: [{name: data, emptyDir: {}}]
containers:
- {name: main, image: "groundup.test/guest:v1", args: [serve, "8080"], volumeMounts: [{name: data, mountPath: /data}, {name: data, mountPath: /sub, subPath: a}]}
`)
	m.expect("id", "0 0 [0]")
	if got, want := strings.Join(strings.Fields(m.ask("cat /proc/self/uid_map")), " "), fmt.Sprintf("0 %d %d", userns.Length, userns.Length); got != want {
		t.Errorf("uid_map: got %s, want %s", got, want)
	}
	m.expect("write /data/f x", "")
	m.expect("stat /data/f", "-rw-r--r-- 0 0")
	m.expect("write /sub/g x", "")
	m.expect("stat /data/a/g", "-rw-r--r-- 0 0")
	var st unix.Stat_t // the mount is mapped, so that the volume belongs to the same ids whoever mounts it
	if err := unix.Stat(filepath.Join(m.node.PodDir(pod.UID), "volumes/kubernetes.io~empty-dir/data/f"), &st); err != nil {
		t.Fatal(err)
	}
	if st.Uid != 0 {
		t.Errorf("on the node the file belongs to %d, want 0", st.Uid)
	}
}

func numbers(t *testing.T, m *machine) {
	m.run(`containers: [{name: main, image: "groundup.test/guest:v1", args: [serve, "8080"]}]`)
	for path, want := range map[string]string{
		"/stats/summary":    `"podRef":{"name":"web","namespace":"default","uid":"1234"}`,
		"/metrics/resource": `container_memory_working_set_bytes{container="main",namespace="default",pod="web"}`,
		"/metrics":          "kubelet_running_pods 1",
	} {
		res, err := http.Get(m.url + path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: got %.2000s, %v, want %s", path, got, err, want)
		}
	}
}

func probes(t *testing.T, m *machine) {
	pod := m.run(`
containers:
- name: main
  image: groundup.test/guest:v1
  args: [serve, "8080"]
  env: [{name: FILE, value: /guest}]
  readinessProbe: {exec: {command: [/guest, stat, $(FILE)]}, periodSeconds: 1}
  livenessProbe: {exec: {command: [/guest, cat, /nothing]}, periodSeconds: 1, failureThreshold: 1}
`)
	manager := probe.NewManager(probe.Config{
		Status: func(types.UID) (corev1.PodStatus, bool) { return pod.Status, true },
		Exec:   lifecycle.Exec(m.runtime),
	})
	yes := true
	pod.Status.ContainerStatuses[0].Started = &yes
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	ended := make(chan error)
	go func() { ended <- manager.Run(ctx) }()
	manager.Add(pod)
	want := map[string]string{"Readiness Success": "-rwxr-xr-x", "Liveness Failure": "no such file or directory"}
	for len(want) > 0 {
		select {
		case u := <-manager.Updates():
			key := fmt.Sprint(u.Kind, " ", u.Result)
			if text, ok := want[key]; !ok || !strings.Contains(u.Message, text) {
				t.Errorf("got %+v", u)
			}
			delete(want, key)
		case <-ctx.Done():
			t.Fatalf("waited in vain for %v", want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
