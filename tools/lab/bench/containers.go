package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/k8s-groundup/groundup/steps/00-container/cri"
	"github.com/k8s-groundup/groundup/steps/00-container/image"
	"github.com/k8s-groundup/groundup/tools/lab/box"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ours starts containers through the CRI, in process: each lane has a sandbox.
type ours struct {
	service *cri.Service
	image   string
	argv    []string
	lanes   []lane

	mu  sync.Mutex // guards ids
	ids map[string]string
}

type lane struct {
	id     string
	config *runtimeapi.PodSandboxConfig
}

func newOurs(ctx context.Context, service *cri.Service, dir, image string, argv []string, width int) (*ours, error) {
	o := &ours{service: service, image: image, argv: argv, ids: map[string]string{}}
	for i := range width {
		name := fmt.Sprintf("bench-%d", i)
		conf := &runtimeapi.PodSandboxConfig{
			Metadata:     &runtimeapi.PodSandboxMetadata{Name: name, Namespace: "default", Uid: name},
			LogDirectory: filepath.Join(dir, "logs", name),
			Linux:        &runtimeapi.LinuxPodSandboxConfig{CgroupParent: "/groundup-bench"},
		}
		resp, err := service.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: conf})
		if err != nil {
			return o, err
		}
		o.lanes = append(o.lanes, lane{resp.PodSandboxId, conf})
	}
	return o, nil
}

func (o *ours) Start(ctx context.Context, lane int, name string) error {
	l := o.lanes[lane]
	c, err := o.service.CreateContainer(ctx, &runtimeapi.CreateContainerRequest{
		PodSandboxId: l.id, SandboxConfig: l.config,
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

func (o *ours) Remove(ctx context.Context, _ int, name string) error {
	o.mu.Lock()
	id := o.ids[name]
	delete(o.ids, name)
	o.mu.Unlock()
	if id == "" {
		return nil
	}
	_, err := o.service.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: id})
	return err
}

func (o *ours) Close(ctx context.Context) (err error) {
	for _, l := range o.lanes {
		_, stopErr := o.service.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: l.id})
		_, removeErr := o.service.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: l.id})
		err = errors.Join(err, stopErr, removeErr)
	}
	return err
}

// widths are how many containers are started at once, each in a pod of its own.
var widths = []int{1, 8}

// Containers measures a container from create to running against runc run, one
// by one and eight at a time, by turns.
func Containers(ctx context.Context, repo string, runs int) (rows []Row, err error) {
	dir, err := os.MkdirTemp("", "groundup-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// Both runtimes keep what need not survive a reboot in memory: in /run, where
	// that is one, and here in any case.
	memory, err := os.MkdirTemp("/dev/shm", "groundup-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(memory)) }()
	store, err := image.Open(filepath.Join(dir, "images"))
	if err != nil {
		return nil, err
	}
	service, err := cri.Open(cri.Config{
		Images: store, Root: filepath.Join(dir, "root"), State: filepath.Join(memory, "state"), Log: slog.New(slog.DiscardHandler),
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
	defer func() {
		err = errors.Join(err, box.RemoveCgroups("groundup-bench/pods", time.Now().Add(10*time.Second)))
	}()
	// Runc has no layers: it gets a copy, with the mount points that the image brings.
	rootfs := filepath.Join(dir, "rootfs")
	for _, layer := range layers {
		if err := os.CopyFS(rootfs, os.DirFS(layer)); err != nil {
			return nil, err
		}
	}
	argv := []string{"/pause"}
	us, err := newOurs(ctx, service, dir, images[0].Tags[0], argv, max(widths[0], widths[1]))
	defer func() { err = errors.Join(err, us.Close(context.WithoutCancel(ctx))) }()
	if err != nil {
		return nil, err
	}
	// One peer makes namespaces, as runc run does; one joins those of a pod.
	makes, err := newRunc(filepath.Join(memory, "makes"), rootfs, argv, false)
	if err != nil {
		return nil, err
	}
	defer makes.Close()
	joins, err := newRunc(filepath.Join(memory, "joins"), rootfs, argv, true)
	if err != nil {
		return nil, err
	}
	defer joins.Close()
	const perLane = 8
	for _, width := range widths {
		var times [3][]float64
		for run := range runs + 1 {
			for i, s := range []starter{us, makes, joins} {
				took, err := together(ctx, s, fmt.Sprintf("b%d-%d-%d", i, width, run), perLane, width)
				if err != nil {
					return nil, err
				}
				if run > 0 { // the first is to warm up
					times[i] = append(times[i], took)
				}
			}
		}
		row := Summarize(fmt.Sprintf("container create → running, %d at a time", width), "ms", times[0])
		rows = append(rows, row.Against("runc run", times[1], 0.7), row.Against("runc run in a pod's namespaces", times[2], 0))
	}
	return rows, nil
}
