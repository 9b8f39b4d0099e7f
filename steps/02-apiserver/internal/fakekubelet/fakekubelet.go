// Package fakekubelet is the server of step 01's kubelet, over TLS, with a runtime
// that needs no kernel: what the API server is joined with in tests.
package fakekubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	utilexec "k8s.io/client-go/util/exec"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/server"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/pki"
)

// Log is what every container has written, two lines to stdout and one between
// them to stderr.
const Log = "2026-01-01T00:00:00.000000000Z stdout F one\n2026-01-01T00:00:01.000000000Z stderr F two\n2026-01-01T00:00:02.000000000Z stdout F three\n"

// Start serves the kubelet of node-1, with one pod, until the test ends. Its
// certificate is of the authority in files, and it lets in whom that knows.
func Start(t *testing.T, files pki.Files, pod *corev1.Pod) (host string, port int) {
	t.Helper()
	dir := t.TempDir()
	a, err := pki.Open(files.Dir)
	base := filepath.Join(dir, "kubelet")
	if err == nil {
		err = a.Ensure(base, pki.Leaf{User: "system:node:node-1", Groups: []string{"system:nodes"}, Addresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	}
	if err != nil {
		t.Fatal(err)
	}
	conf, err := server.TLS(server.Cert{CertFile: base + ".crt", KeyFile: base + ".key", ClientCAFile: files.CA()})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{log: filepath.Join(dir, "0.log"), pod: pod.DeepCopy()}
	for i, c := range pod.Spec.Containers {
		n.pod.Status.ContainerStatuses = append(n.pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, ContainerID: fmt.Sprintf("groundup://c%d", i+1), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}})
	}
	if err := os.WriteFile(n.log, []byte(Log), 0o600); err != nil {
		t.Fatal(err)
	}
	kubelet, err := server.New(server.Config{Kubelet: n, Runtime: cri{n}, Streaming: runtime{}, TLS: conf, PodLogsDir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := kubelet.Run(ctx, l, nil); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	address := l.Addr().(*net.TCPAddr)
	return address.IP.String(), address.Port
}

// A node is what the kubelet's server asks of the kubelet.
type node struct {
	pod *corev1.Pod
	log string
}

func (n *node) Pods() []*corev1.Pod                                { return []*corev1.Pod{n.pod} }
func (n *node) RunningPods(context.Context) ([]*corev1.Pod, error) { return n.Pods(), nil }
func (n *node) SyncLoopHealthy() error                             { return nil }

// A runtime is the other end of the streams. Its first container is c1.
type runtime struct{}

var _ streaming.Runtime = runtime{}

// Exec copies its input, or does what else the command says; by default it tells
// what it was asked.
func (runtime) Exec(_ context.Context, id string, command []string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	switch command[0] {
	case "exit":
		fmt.Fprintln(errOut, "I go")
		code, err := strconv.Atoi(command[1])
		if err != nil {
			return err
		}
		return utilexec.CodeExitError{Err: fmt.Errorf("exit %d", code), Code: code}
	case "size":
		size := <-resize
		fmt.Fprintf(out, "%dx%d", size.Width, size.Height)
		return nil
	case "cat":
		_, err := io.Copy(out, in)
		return err
	}
	fmt.Fprintf(out, "%s %q tty=%v", id, command, tty)
	return nil
}

// Attach tells that it was reached.
func (runtime) Attach(_ context.Context, id string, _ io.Reader, out, _ io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	fmt.Fprintf(out, "attached to %s", id)
	return nil
}

// PortForward answers five bytes.
func (runtime) PortForward(_ context.Context, _ string, port int32, stream io.ReadWriteCloser) error {
	buf := make([]byte, 5)
	if _, err := io.ReadFull(stream, buf); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stream, "%d says %s", port, buf)
	return err
}

// cri is the part of the CRI that the kubelet's server asks. Streams do not pass here.
type cri struct{ *node }

var errNotHere = errors.New("this runtime streams in its own process")

func (c cri) ContainerStatus(_ context.Context, r *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	return &runtimeapi.ContainerStatusResponse{Status: &runtimeapi.ContainerStatus{Id: r.ContainerId, LogPath: c.log, State: runtimeapi.ContainerState_CONTAINER_EXITED}}, nil
}

func (c cri) ListPodSandbox(context.Context, *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	return &runtimeapi.ListPodSandboxResponse{Items: []*runtimeapi.PodSandbox{{Id: "sandbox"}}}, nil
}

func (c cri) ExecSync(context.Context, *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	return nil, errNotHere
}

func (c cri) Exec(context.Context, *runtimeapi.ExecRequest) (*runtimeapi.ExecResponse, error) {
	return nil, errNotHere
}

func (c cri) Attach(context.Context, *runtimeapi.AttachRequest) (*runtimeapi.AttachResponse, error) {
	return nil, errNotHere
}

func (c cri) PortForward(context.Context, *runtimeapi.PortForwardRequest) (*runtimeapi.PortForwardResponse, error) {
	return nil, errNotHere
}
