package gc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apitypes "k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/kubelet/pkg/types"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/internal/fakecri"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/observed"
)

func TestSurplus(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	pod := func(sandboxes string, containers string) *observed.Pod {
		p := &observed.Pod{}
		for _, s := range strings.Fields(sandboxes) { // newest first
			id, state, _ := strings.Cut(s, ":")
			p.Sandboxes = append(p.Sandboxes, observed.Sandbox{ID: id, Ready: state == "ready"})
		}
		for i, c := range strings.Fields(containers) { // newest first
			parts := strings.Split(c, ":")
			p.Containers = append(p.Containers, observed.Container{ID: fmt.Sprint(parts[0], i), Name: parts[0],
				State: observed.State(parts[1]), SandboxID: parts[2], CreatedAt: at.Add(-time.Duration(i) * time.Minute)})
		}
		return p
	}
	for _, c := range []struct {
		name  string
		pod   *observed.Pod
		known bool
		want  string
	}{
		{"what runs stays", pod("s:ready", "a:running:s"), true, "[] []"},
		{"the newest dead one stays", pod("s:ready", "a:running:s a:exited:s a:exited:s"), true, "[a2] []"},
		{"of each name", pod("s:ready", "a:exited:s b:exited:s a:exited:s b:exited:s"), true, "[a2 b3] []"},
		{"one that is about to start stays", pod("s:ready", "a:created:s"), true, "[] []"},
		{"one that was not started goes", pod("s:ready", "a:running:s a:exited:s a:created:s"), true, "[a2] []"},
		{"a sandbox with a container left", pod("t:ready s:dead", "a:running:t a:exited:s"), true, "[] []"},
		{"a sandbox without", pod("t:ready s:dead", "a:running:t"), true, "[] [s]"},
		{"the newest sandbox stays", pod("s:dead", ""), true, "[] []"},
		{"a pod that nobody knows", pod("s:dead", "a:exited:s"), false, "[a0] [s]"},
		{"a pod that nobody knows and that runs", pod("s:ready", "a:running:s"), false, "[] []"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := surplus(c.pod, c.known, 1, at.Add(time.Second))
			if got := fmt.Sprint(r.containers, r.sandboxes); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// A crasher is a runtime with one pod, whose container was started three times.
type crasher struct {
	*fakecri.Runtime
	logs string
}

func (r crasher) ContainerStatus(ctx context.Context, req *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	resp, err := r.Runtime.ContainerStatus(ctx, req)
	if err == nil {
		resp.Status.LogPath = filepath.Join(r.logs, "default_web_uid", "app", fmt.Sprintf("%d.log", resp.Status.Metadata.Attempt))
	}
	return resp, err
}

// A container that crashes all day must not fill the disk with its logs.
func TestLogsGoWithTheirContainers(t *testing.T) {
	rt := crasher{fakecri.New("x:v1"), t.TempDir()}
	rt.SetProgram("x:v1", fakecri.Program{Runs: time.Nanosecond, Exit: 1})
	sandbox, err := rt.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{Name: "web", Uid: "uid"}, Labels: map[string]string{types.KubernetesPodUIDLabel: "uid"}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(rt.logs, "default_web_uid", "app")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for attempt := range uint32(3) {
		c, err := rt.CreateContainer(t.Context(), &runtimeapi.CreateContainerRequest{PodSandboxId: sandbox.PodSandboxId, Config: &runtimeapi.ContainerConfig{
			Metadata: &runtimeapi.ContainerMetadata{Name: "app", Attempt: attempt}, Image: &runtimeapi.ImageSpec{Image: "x:v1"},
			Labels: map[string]string{types.KubernetesPodUIDLabel: "uid", types.KubernetesContainerNameLabel: "app"}}})
		if err == nil {
			_, err = rt.StartContainer(t.Context(), &runtimeapi.StartContainerRequest{ContainerId: c.ContainerId})
		}
		for _, name := range []string{fmt.Sprintf("%d.log", attempt), fmt.Sprintf("%d.log.1", attempt)} {
			err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte("text"), 0o640))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c := &Collector{Runtime: rt, Knows: func(apitypes.UID) bool { return true }, MaxDead: 1, LogsDir: rt.logs, PodsDir: t.TempDir()}
	if err := c.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, _ := os.ReadDir(dir)
	if got := fmt.Sprint(left); got != "[- 2.log - 2.log.1]" {
		t.Errorf("got logs %s left, want those of attempt 2, whose container is still there", got)
	}
}

// A shelf has images and a disk of 100 bytes.
type shelf struct {
	images map[string]*runtimeapi.Image
	used   []string
	free   int64
}

func (s *shelf) ListImages(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	resp := &runtimeapi.ListImagesResponse{}
	for _, i := range s.images {
		resp.Images = append(resp.Images, i)
	}
	return resp, nil
}

func (s *shelf) RemoveImage(_ context.Context, r *runtimeapi.RemoveImageRequest) (*runtimeapi.RemoveImageResponse, error) {
	s.free += int64(s.images[r.Image.Image].Size)
	delete(s.images, r.Image.Image)
	return &runtimeapi.RemoveImageResponse{}, nil
}

func (s *shelf) ImageFsInfo(context.Context, *runtimeapi.ImageFsInfoRequest) (*runtimeapi.ImageFsInfoResponse, error) {
	return &runtimeapi.ImageFsInfoResponse{ImageFilesystems: []*runtimeapi.FilesystemUsage{{}}}, nil
}

func (s *shelf) ListContainers(context.Context, *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	resp := &runtimeapi.ListContainersResponse{}
	for _, id := range s.used {
		resp.Containers = append(resp.Containers, &runtimeapi.Container{ImageRef: id})
	}
	return resp, nil
}

func TestImagesGoWhenTheDiskFillsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{images: map[string]*runtimeapi.Image{}, free: 50, used: []string{"a", "b"}}
		c := &ImageCollector{Images: s, Containers: s, MinAge: 2 * time.Minute, High: 85, Low: 80, Log: slog.New(slog.DiscardHandler),
			Disk: func(string) (int64, int64, error) { return 100, s.free, nil }}
		add := func(id string, pinned bool) {
			s.images[id] = &runtimeapi.Image{Id: id, Size: 4, Pinned: pinned}
		}
		collect := func(want string) {
			t.Helper()
			if err := c.Collect(t.Context()); err != nil {
				t.Error(err)
			}
			got := ""
			for _, id := range []string{"a", "b", "c", "d", "p"} {
				if s.images[id] != nil {
					got += id
				}
			}
			if got != want {
				t.Errorf("got images %s left, want %s", got, want)
			}
		}
		for _, id := range []string{"a", "b", "c", "d"} {
			add(id, false)
		}
		add("p", true)
		collect("abcdp") // there is room
		time.Sleep(time.Minute)
		collect("abcdp")
		s.used = []string{"a"} // b was used until now
		time.Sleep(2 * time.Minute)
		s.free = 15     // 85 % used: 5 bytes too many
		collect("abp")  // the two that were never used, 4 bytes each
		s.free = 15     // again
		add("d", false) // too young
		if err := c.Collect(t.Context()); err == nil || !strings.Contains(err.Error(), "freed 4 bytes of image storage and needed 5") {
			t.Errorf("got %v, want an error that says how much is missing", err)
		}
		s.free = 50
		collect("adp") // b went, a is in use, p is pinned, d was too young
		c.MaxAge = time.Hour
		time.Sleep(2 * time.Hour)
		collect("ap") // d was not used for too long
	})
}
