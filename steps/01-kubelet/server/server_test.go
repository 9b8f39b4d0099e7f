package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	utilexec "k8s.io/utils/exec"

	"github.com/k8s-groundup/groundup/steps/00-container/crilog"
)

// fake is a kubelet with one pod, its runtime, and its numbers.
type fake struct {
	pod     *corev1.Pod
	logPath string
	unwell  error
	url     string // of the streaming server, for a remote runtime

	mu    sync.Mutex // guards state
	state runtimeapi.ContainerState
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{logPath: filepath.Join(t.TempDir(), "0.log"), state: runtimeapi.ContainerState_CONTAINER_RUNNING}
	f.pod = &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "1234", Annotations: map[string]string{"kubernetes.io/config.source": "file"}},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "init"}},
			Containers:     []corev1.Container{{Name: "main"}, {Name: "waiting"}},
		},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{Name: "main", ContainerID: "groundup://c1", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
			{Name: "waiting", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}},
		}},
	}
	return f
}

func (f *fake) Pods() []*corev1.Pod                                { return []*corev1.Pod{f.pod} }
func (f *fake) RunningPods(context.Context) ([]*corev1.Pod, error) { return []*corev1.Pod{f.pod}, nil }
func (f *fake) SyncLoopHealthy() error                             { return f.unwell }
func (f *fake) Collector() prometheus.Collector {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: "node_x"})
}
func (f *fake) Summary(_ context.Context, only bool) (*statsapi.Summary, error) {
	return &statsapi.Summary{Node: statsapi.NodeStats{NodeName: fmt.Sprint("node-1 ", only)}, Pods: []statsapi.PodStats{}}, nil
}

func (f *fake) ContainerStatus(_ context.Context, r *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	if r.ContainerId != "c1" {
		return nil, fmt.Errorf("no container %q", r.ContainerId)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return &runtimeapi.ContainerStatusResponse{Status: &runtimeapi.ContainerStatus{Id: "c1", LogPath: f.logPath, State: f.state}}, nil
}

func (f *fake) ListPodSandbox(_ context.Context, r *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	if r.Filter.LabelSelector["io.kubernetes.pod.uid"] != "1234" {
		return &runtimeapi.ListPodSandboxResponse{}, nil
	}
	return &runtimeapi.ListPodSandboxResponse{Items: []*runtimeapi.PodSandbox{{Id: "s1"}}}, nil
}

func (f *fake) ExecSync(_ context.Context, r *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	reply := &runtimeapi.ExecSyncResponse{Stdout: []byte(strings.Join(r.Cmd, " "))}
	if r.Cmd[0] == "false" {
		reply.ExitCode = 1
	}
	return reply, nil
}

func (f *fake) Exec(context.Context, *runtimeapi.ExecRequest) (*runtimeapi.ExecResponse, error) {
	return &runtimeapi.ExecResponse{Url: f.url + "/exec"}, nil
}

func (f *fake) Attach(context.Context, *runtimeapi.AttachRequest) (*runtimeapi.AttachResponse, error) {
	return &runtimeapi.AttachResponse{Url: f.url + "/attach"}, nil
}

func (f *fake) PortForward(context.Context, *runtimeapi.PortForwardRequest) (*runtimeapi.PortForwardResponse, error) {
	return &runtimeapi.PortForwardResponse{Url: f.url + "/portforward"}, nil
}

// echo is a streaming runtime that says back what it hears.
type echo struct{}

var _ streaming.Runtime = echo{}

func (echo) Exec(_ context.Context, id string, command []string, in io.Reader, out, errOut io.WriteCloser, tty bool, _ <-chan remotecommand.TerminalSize) error {
	fmt.Fprintf(out, "%s %s tty=%v\n", id, strings.Join(command, " "), tty)
	if in != nil {
		io.Copy(out, in)
	}
	if command[0] == "exit" {
		return &utilexec.CodeExitError{Code: 3, Err: errors.New("exit 3")}
	}
	return nil
}

func (e echo) Attach(ctx context.Context, id string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	return e.Exec(ctx, id, []string{"attached"}, in, out, errOut, tty, resize)
}

func (echo) PortForward(_ context.Context, sandbox string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	fmt.Fprintf(stream, "%s:%d ", sandbox, port)
	_, err := io.Copy(stream, stream)
	return err
}

func newServer(t *testing.T, f *fake, change func(*Config)) *Server {
	t.Helper()
	conf := Config{Kubelet: f, Runtime: f, Stats: f, Streaming: echo{}, PodLogsDir: filepath.Dir(f.logPath), Configz: map[string]string{"a": "b"}}
	if change != nil {
		change(&conf)
	}
	s, err := New(conf)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnswers(t *testing.T) {
	f := newFake(t)
	s := newServer(t, f, nil)
	for _, tt := range []struct {
		method, path string
		code         int
		body         string // a part of it
	}{
		{"GET", "/pods", 200, `{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[{"metadata":{"name":"web"`},
		{"GET", "/pods/", 200, `"name":"web"`},
		{"GET", "/runningpods/", 200, `"kind":"PodList"`},
		{"GET", "/healthz", 200, "ok"},
		{"GET", "/healthz?verbose", 200, "[+]ping ok\n[+]syncloop ok\nhealthz check passed\n"},
		{"GET", "/healthz/ping", 200, "ok"},
		{"GET", "/healthz/syncloop", 200, "ok"},
		{"GET", "/configz", 200, `{"kubeletconfig":{"a":"b"}}`},
		{"GET", "/stats/summary", 200, `"nodeName":"node-1 false"`},
		{"GET", "/stats/summary?only_cpu_and_memory=true", 200, `"nodeName":"node-1 true"`},
		{"GET", "/metrics", 200, "kubelet_running_pods 1\n"},
		{"GET", "/metrics", 200, `kubelet_running_containers{container_state="running"} 1`},
		{"GET", "/metrics", 200, `kubelet_desired_pods{static="true"} 1`},
		{"GET", "/metrics", 200, `kubelet_http_requests_total{long_running="false",method="GET",path="healthz",server_type="readwrite"} 4`},
		{"GET", "/metrics/resource", 200, "node_x 0"},
		{"GET", "/metrics/probes", 200, ""},
		{"GET", "/nothing", 404, ""},
		{"GET", "/checkpoint/default/web/main", 404, ""},
		{"DELETE", "/pods", 405, ""},
		{"POST", "/run/default/web/main?cmd=echo+hello", 200, "echo hello"},
		{"POST", "/run/default/web/1234/main?cmd=echo", 200, "echo"},
		{"POST", "/run/default/web/other/main?cmd=echo", 404, "pod does not exist"},
		{"POST", "/run/default/web/main?cmd=false+x", 500, "command 'false x' exited with 1: false x"},
		{"POST", "/run/default/web/waiting?cmd=x", 500, `container not found ("waiting")`},
		{"GET", "/run/default/web/main?cmd=x", 405, ""},
		{"POST", "/exec/default/none/main?command=x&output=1", 404, "pod does not exist"},
		{"POST", "/exec/default/web/main?command=x", 400, "you must specify at least 1 of stdin, stdout, stderr"},
		{"POST", "/exec/default/web/waiting?command=x&output=1", 500, `container not found ("waiting")`},
		{"POST", "/portForward/default/none", 404, "pod does not exist"},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
			if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.body) {
				t.Errorf("got %d %s, want %d …%s…", w.Code, w.Body, tt.code, tt.body)
			}
		})
	}
}

func TestUnhealthyWithholdsTheReason(t *testing.T) {
	f := newFake(t)
	f.unwell = errors.New("secret")
	w := httptest.NewRecorder()
	newServer(t, f, nil).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
	if want := "[+]ping ok\n[-]syncloop failed: reason withheld\nhealthz check failed\n"; w.Code != 500 || w.Body.String() != want {
		t.Errorf("got %d %q, want 500 %q", w.Code, w.Body, want)
	}
}

func TestTheReadOnlyPortChangesAndStreamsNothing(t *testing.T) {
	s := newServer(t, newFake(t), nil)
	for path, want := range map[string]int{
		"/pods": 200, "/healthz": 200, "/metrics": 200, "/stats/summary": 200, "/metrics/resource": 200,
		"/runningpods/": 404, "/configz": 404, "/containerLogs/default/web/main": 404, "/exec/default/web/main": 404, "/portForward/default/web": 404,
	} {
		w := httptest.NewRecorder()
		s.ReadOnlyHandler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want {
			t.Errorf("%s: got %d, want %d", path, w.Code, want)
		}
	}
}

func TestParseLogQuery(t *testing.T) {
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	five, zero := int64(5), int64(0)
	for _, tt := range []struct {
		query string
		want  logRequest
		err   error
	}{
		{"", logRequest{stream: "All"}, nil},
		{"follow=true&timestamps=1&previous=true", logRequest{options: crilog.Options{Follow: true, Timestamps: true}, previous: true, stream: "All"}, nil},
		{"tailLines=5", logRequest{options: crilog.Options{TailLines: &five}, stream: "All"}, nil},
		{"tailLines=0", logRequest{options: crilog.Options{TailLines: &zero}, stream: "All"}, nil},
		{"tail=5", logRequest{options: crilog.Options{TailLines: &five}, stream: "All"}, nil},
		{"tail=all&tailLines=5", logRequest{stream: "All"}, nil},
		{"limitBytes=5", logRequest{options: crilog.Options{LimitBytes: &five}, stream: "All"}, nil},
		{"sinceSeconds=5", logRequest{options: crilog.Options{Since: now.Add(-5 * time.Second)}, stream: "All"}, nil},
		{"sinceTime=2026-11-20T09:00:00Z", logRequest{options: crilog.Options{Since: now.Add(-time.Hour)}, stream: "All"}, nil},
		{"stream=Stderr", logRequest{stream: "Stderr"}, nil},
		{"follow=maybe", logRequest{}, errBadQuery},
		{"tailLines=x", logRequest{}, errBadQuery},
		{"sinceTime=yesterday", logRequest{}, errBadQuery},
		{"tailLines=-1", logRequest{}, errInvalidQuery},
		{"limitBytes=0", logRequest{}, errInvalidQuery},
		{"sinceSeconds=0", logRequest{}, errInvalidQuery},
		{"sinceSeconds=5&sinceTime=2026-11-20T09:00:00Z", logRequest{}, errInvalidQuery},
		{"stream=stdlog", logRequest{}, errInvalidQuery},
		{"stream=Stdout&tailLines=5", logRequest{}, errInvalidQuery},
	} {
		q, err := url.ParseQuery(tt.query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseLogQuery(q, now)
		if !errors.Is(err, tt.err) || show(got) != show(tt.want) {
			t.Errorf("%s: got %s, %v, want %s, %v", tt.query, show(got), err, show(tt.want), tt.err)
		}
	}
}

func show(r logRequest) string {
	r.options.Ended = nil
	data, err := json.Marshal(map[string]any{
		"follow": r.options.Follow, "timestamps": r.options.Timestamps, "tail": r.options.TailLines, "limit": r.options.LimitBytes,
		"since": r.options.Since, "previous": r.previous, "stream": r.stream,
	})
	if err != nil {
		panic(err)
	}
	return string(data)
}

func TestLogSource(t *testing.T) {
	terminated := func(id string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ContainerID: id}}
	}
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for _, tt := range []struct {
		name        string
		state, last corev1.ContainerState
		previous    bool
		want        string
	}{
		{name: "running", state: running, want: "now"},
		{name: "terminated", state: terminated("r://end"), want: "end"},
		{name: "restarting", state: waiting("CrashLoopBackOff"), last: terminated("r://last"), want: "last"},
		{name: "previous", state: running, last: terminated("r://last"), previous: true, want: "last"},
		{name: "no previous", state: running, previous: true, want: `previous terminated container "main" in pod "web" not found`},
		{name: "no image", state: waiting("ImagePullBackOff"), want: `container "main" in pod "web" is waiting to start: trying and failing to pull image`},
		{name: "pull fails", state: waiting("ErrImagePull"), want: "image can't be pulled"},
		{name: "waiting", state: waiting("PodInitializing"), want: "is waiting to start: PodInitializing"},
		{name: "lost", state: terminated(""), want: `container "main" in pod "web" is terminated`},
		{name: "lost, but there was one before", state: terminated(""), last: terminated("r://last"), want: "last"},
		{name: "nothing", want: "is waiting to start - no logs yet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
			pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "main", ContainerID: "r://now", State: tt.state, LastTerminationState: tt.last}}
			got, err := logSource(pod, "main", tt.previous)
			if err != nil {
				got = err.Error()
			}
			if got != tt.want && !(err != nil && strings.Contains(got, tt.want)) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	if _, err := logSource(&corev1.Pod{}, "main", false); err == nil || !strings.Contains(err.Error(), "is not available") {
		t.Errorf("got %v", err)
	}
}

// writeLog appends entries to the container's log.
func (f *fake) writeLog(t *testing.T, entries ...string) {
	t.Helper()
	file, err := os.OpenFile(f.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, e := range entries {
		stream, text, _ := strings.Cut(e, " ")
		if _, err := file.Write(crilog.Append(nil, time.Now(), stream, []byte(text+"\n"))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestContainerLogs(t *testing.T) {
	f := newFake(t)
	f.writeLog(t, "stdout one", "stderr two", "stdout three")
	s := newServer(t, f, nil)
	for _, tt := range []struct {
		path string
		code int
		body string
	}{
		{"default/web/main", 200, "one\ntwo\nthree\n"},
		{"default/web/main?tailLines=1", 200, "three\n"},
		{"default/web/main?limitBytes=5", 200, "one\nt"},
		{"default/web/main?stream=Stderr", 200, "two\n"},
		{"default/web/main?stream=Stdout", 200, "one\nthree\n"},
		{"default/web/main?previous=true", 400, `previous terminated container "main" in pod "web" not found`},
		{"default/web/waiting", 400, `container "waiting" in pod "web" is waiting to start: trying and failing to pull image`},
		{"default/web/init", 400, `container "init" in pod "web" is not available`},
		{"default/web/none", 404, `container "none" not found in pod "web"`},
		{"default/none/main", 404, `pod "none" does not exist`},
		{"default/web/main?tailLines=x", 400, `{"message": "Unable to decode query."}`},
		{"default/web/main?tailLines=-1", 422, `{"message": "Invalid request."}`},
	} {
		t.Run(tt.path, func(t *testing.T) {
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/containerLogs/"+tt.path, nil))
			if w.Code != tt.code || w.Body.String() != tt.body {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tt.code, tt.body)
			}
		})
	}
}

func TestLogsOutsideOfTheLogDirectoryAreNotServed(t *testing.T) {
	f := newFake(t)
	s := newServer(t, f, nil)
	for _, path := range []string{"/etc/passwd", filepath.Join(filepath.Dir(f.logPath), "../x.log")} {
		f.logPath = path
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/containerLogs/default/web/main", nil))
		if w.Code != 400 || !strings.Contains(w.Body.String(), "is not in") {
			t.Errorf("%s: got %d %s", path, w.Code, w.Body)
		}
	}
}

func TestFollowEndsWithTheContainer(t *testing.T) {
	f := newFake(t)
	f.writeLog(t, "stdout one")
	srv := httptest.NewServer(newServer(t, f, nil).Handler())
	defer srv.Close()
	res, err := http.Get(srv.URL + "/containerLogs/default/web/main?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	read := func(want string) {
		t.Helper()
		buf := make([]byte, len(want))
		if _, err := io.ReadFull(res.Body, buf); err != nil || string(buf) != want {
			t.Fatalf("got %q, %v, want %q", buf, err, want)
		}
	}
	read("one\n")
	f.writeLog(t, "stderr two")
	read("two\n")
	f.mu.Lock()
	f.state = runtimeapi.ContainerState_CONTAINER_EXITED
	f.mu.Unlock()
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	f := newFake(t)
	f.writeLog(t, "stdout one")
	s := newServer(t, f, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ro, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx, l, ro) }()
	for _, addr := range []net.Listener{l, ro} {
		res, err := http.Get("http://" + addr.Addr().String() + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	follow, err := http.Get("http://" + l.Addr().String() + "/containerLogs/default/web/main?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	defer follow.Body.Close()
	ws := dial(t, l.Addr().String(), "/exec/default/web/main?command=cat&input=1&output=1")
	defer ws.Close()
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("open streams keep the server from ending")
	}
}
