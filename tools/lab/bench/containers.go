package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/k8s-groundup/groundup/steps/00-container/cri"
	"github.com/k8s-groundup/groundup/steps/00-container/image"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ours starts containers through the CRI, in process, in one sandbox.
type ours struct {
	service *cri.Service
	image   string
	argv    []string
	sandbox *runtimeapi.PodSandboxConfig
	id      string

	mu  sync.Mutex // guards ids
	ids map[string]string
}

func newOurs(ctx context.Context, service *cri.Service, dir, image string, argv []string) (*ours, error) {
	o := &ours{service: service, image: image, argv: argv, ids: map[string]string{}}
	o.sandbox = &runtimeapi.PodSandboxConfig{
		Metadata:     &runtimeapi.PodSandboxMetadata{Name: "bench", Namespace: "default", Uid: "bench"},
		LogDirectory: filepath.Join(dir, "logs"),
		Linux:        &runtimeapi.LinuxPodSandboxConfig{CgroupParent: "/groundup-bench"},
	}
	resp, err := service.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: o.sandbox})
	if err != nil {
		return nil, err
	}
	o.id = resp.PodSandboxId
	return o, nil
}

func (o *ours) Start(ctx context.Context, name string) error {
	c, err := o.service.CreateContainer(ctx, &runtimeapi.CreateContainerRequest{
		PodSandboxId: o.id, SandboxConfig: o.sandbox,
		Config: &runtimeapi.ContainerConfig{
			Metadata: &runtimeapi.ContainerMetadata{Name: name},
			Image:    &runtimeapi.ImageSpec{Image: o.image},
			Command:  o.argv,
			LogPath:  name + ".log",
		},
	})
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	o.mu.Lock()
	o.ids[name] = c.ContainerId
	o.mu.Unlock()
	_, err = o.service.StartContainer(ctx, &runtimeapi.StartContainerRequest{ContainerId: c.ContainerId})
	return err
}

func (o *ours) Remove(ctx context.Context, name string) error {
	o.mu.Lock()
	id := o.ids[name]
	delete(o.ids, name)
	o.mu.Unlock()
	_, err := o.service.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: id})
	return err
}

func (o *ours) Close(ctx context.Context) error {
	_, err := o.service.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: o.id})
	_, err2 := o.service.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: o.id})
	return errors.Join(err, err2)
}

// Containers measures a container from create to running against runc run, one
// by one and eight at a time, by turns.
func Containers(ctx context.Context, repo string, runs int) (rows []Row, err error) {
	dir, err := os.MkdirTemp("", "groundup-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	store, err := image.Open(filepath.Join(dir, "images"))
	if err != nil {
		return nil, err
	}
	service, err := cri.Open(cri.Config{
		Images: store, Root: filepath.Join(dir, "root"), State: filepath.Join(dir, "state"),
		ShimPath: filepath.Join(repo, "bin/step-01/runtime-shim"), CgroupParent: "/groundup-bench",
	})
	if err != nil {
		return nil, err
	}
	images, err := store.Import(ctx, filepath.Join(repo, "bin/archives/pause.tar"))
	if err != nil {
		return nil, err
	}
	layers, err := store.Layers(ctx, images[0])
	if err != nil {
		return nil, err
	}
	argv := []string{"/pause"}
	us, err := newOurs(ctx, service, dir, images[0].Tags[0], argv)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, us.Close(ctx)) }()
	bundle := filepath.Join(dir, "bundle")
	if err := os.Mkdir(bundle, 0o755); err != nil {
		return nil, err
	}
	them, err := newRunc(bundle, layers[0], argv)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, them.Close()) }()
	for _, width := range []int{1, 8} {
		var a, b []float64
		for run := range runs + 1 {
			n := 8 * width
			x, err := together(ctx, us, fmt.Sprintf("a%d-%d", width, run), n, width)
			if err != nil {
				return nil, err
			}
			y, err := together(ctx, them, fmt.Sprintf("b%d-%d", width, run), n, width)
			if err != nil {
				return nil, err
			}
			if run > 0 { // the first is to warm up
				a, b = append(a, x), append(b, y)
			}
		}
		rows = append(rows, Summarize(fmt.Sprintf("container create → running, %d at a time", width), "ms", a).Against("runc run", b, 0.7))
	}
	return rows, nil
}
