package containerlog

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/crilog"
)

// A writer is a runtime with one container, which writes a log.
type writer struct {
	log      string
	reopened int
	ended    bool // so that it reopens nothing
}

func (w *writer) ListContainers(context.Context, *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	return &runtimeapi.ListContainersResponse{Containers: []*runtimeapi.Container{{Id: "id"}}}, nil
}

func (w *writer) ContainerStatus(context.Context, *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	return &runtimeapi.ContainerStatusResponse{Status: &runtimeapi.ContainerStatus{LogPath: w.log}}, nil
}

func (w *writer) ReopenContainerLog(context.Context, *runtimeapi.ReopenContainerLogRequest) (*runtimeapi.ReopenContainerLogResponse, error) {
	if w.ended {
		return nil, errors.New("the container is not running")
	}
	w.reopened++
	return &runtimeapi.ReopenContainerLogResponse{}, os.WriteFile(w.log, nil, 0o644)
}

func TestRotate(t *testing.T) {
	dir := t.TempDir()
	w := &writer{log: filepath.Join(dir, "0.log")}
	k := &Keeper{Runtime: w, Limit: crilog.Limit{MaxBytes: 10, MaxFiles: 3}}
	write := func(text string) {
		if err := os.WriteFile(w.log, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rotate := func(reopened int, what string) {
		t.Helper()
		if err := k.rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.reopened != reopened {
			t.Errorf("%s: the log was reopened %d times, want %d", what, w.reopened, reopened)
		}
	}
	write("short")
	rotate(0, "a short log")
	for i := range 4 {
		write("much too long")
		rotate(i+1, "a long log")
	}
	if files, _ := filepath.Glob(w.log + "*"); len(files) != 3 {
		t.Errorf("got files %v, want 3", files)
	}
	if err := os.Remove(w.log); err != nil {
		t.Fatal(err)
	}
	rotate(5, "a log that a killed kubelet renamed")
}

// Who asks for the log of a container that has ended reads what it wrote last.
func TestALogThatIsNotReopenedKeepsItsName(t *testing.T) {
	w := &writer{log: filepath.Join(t.TempDir(), "0.log"), ended: true}
	k := &Keeper{Runtime: w, Limit: crilog.Limit{MaxBytes: 10, MaxFiles: 3}}
	if err := os.WriteFile(w.log, []byte("its last words"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := k.rotate(t.Context()); err == nil {
		t.Error("that the log was not reopened is no error")
	}
	if got, err := os.ReadFile(w.log); string(got) != "its last words" {
		t.Errorf("got %q, error %v", got, err)
	}
}

func TestLinksComeAndGoWithTheirLogs(t *testing.T) {
	dir := t.TempDir()
	k := &Keeper{Links: filepath.Join(dir, "containers"), Log: slog.New(slog.DiscardHandler)}
	if err := k.prune(); err != nil {
		t.Errorf("without a directory: %v", err)
	}
	log := filepath.Join(dir, "0.log")
	if err := os.WriteFile(log, []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}
	for range 2 { // a kubelet that was restarted makes it again
		k.Started(pod, &corev1.Container{Name: "c"}, "id", log)
	}
	link := filepath.Join(k.Links, "web_default_c-id.log")
	if data, err := os.ReadFile(link); err != nil || string(data) != "hello" {
		t.Errorf("got %q, error %v", data, err)
	}
	if err := k.prune(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(link); err != nil {
		t.Errorf("the link went before its log: %v", err)
	}
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	if err := k.prune(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(link); err == nil {
		t.Error("the link stayed without its log")
	}
}
