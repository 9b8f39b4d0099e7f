package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/k8s-groundup/groundup/steps/00-container/cri"
	"github.com/k8s-groundup/groundup/steps/00-container/image"
	"github.com/k8s-groundup/groundup/steps/00-container/spec"
	"github.com/k8s-groundup/groundup/tools/lab/box"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ours starts containers through the CRI, in process: each lane has a sandbox.
// They are asked for as a kubelet does, and have what `runc spec` gives its own: a
// PID and a mount namespace, paths that are hidden or read-only, device rules, a
// cgroup in each hierarchy, and no seccomp filter. Theirs have new network, IPC and
// UTS namespaces besides, or join some; ours have a cgroup namespace, an overlay
// instead of a directory, files of their pod in /etc, and a log.
type ours struct {
	service *cri.Service
	image   string
	argv    []string
	lanes   []lane

	mu  sync.Mutex // guards ids
	ids map[string]string
}

var ownPID = &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_CONTAINER}

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
			Linux: &runtimeapi.LinuxPodSandboxConfig{
				CgroupParent:    "/groundup-bench",
				SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{NamespaceOptions: ownPID},
			},
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
			Linux: &runtimeapi.LinuxContainerConfig{SecurityContext: &runtimeapi.LinuxContainerSecurityContext{
				NamespaceOptions: ownPID, MaskedPaths: spec.DefaultMaskedPaths, ReadonlyPaths: spec.DefaultReadonlyPaths,
			}},
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

// A contest is ours and its peers: one makes namespaces, as runc run does; one
// joins those of a pod.
type contest struct {
	ours         *ours
	makes, joins *runc
	undo         []func() error // the last one first
}

// Containers measures a container from create to running against runc run, one
// by one and eight at a time, by turns, and then where the time goes.
func Containers(ctx context.Context, repo string, runs int) (rows []Row, err error) {
	c := &contest{}
	defer func() {
		for _, undo := range slices.Backward(c.undo) {
			err = errors.Join(err, undo())
		}
	}()
	if err := c.prepare(ctx, repo); err != nil {
		return nil, err
	}
	for _, width := range widths {
		more, err := c.starts(ctx, width, runs)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	more, err := c.Phases(ctx, runs)
	return append(rows, more...), err
}

// starts measures the milliseconds that each of width starts at once takes of
// the whole.
func (c *contest) starts(ctx context.Context, width, runs int) ([]Row, error) {
	const perLane = 8
	var times [3][]float64
	for run := range runs + 1 {
		for i, s := range []starter{c.ours, c.makes, c.joins} {
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
	return []Row{row.Against("runc run", times[1], 0.7), row.Against("runc run in a pod's namespaces", times[2], 0)}, nil
}

func (c *contest) prepare(ctx context.Context, repo string) error {
	dir, err := c.tempDir("")
	if err != nil {
		return err
	}
	// Both runtimes keep what need not survive a reboot in memory: in /run, where
	// that is one, and here in any case.
	memory, err := c.tempDir("/dev/shm")
	if err != nil {
		return err
	}
	store, err := image.Open(filepath.Join(dir, "images"))
	if err != nil {
		return err
	}
	images, err := store.Import(ctx, filepath.Join(repo, "bin/archives/pause.tar"))
	if err != nil {
		return err
	}
	service, err := cri.Open(cri.Config{
		Images: store, Root: filepath.Join(dir, "root"), State: filepath.Join(memory, "state"), Log: slog.New(slog.DiscardHandler),
		ShimPath: filepath.Join(repo, "bin/step-01/runtime-shim"), CgroupParent: "/groundup-bench",
	})
	if err != nil {
		return err
	}
	c.undo = append(c.undo, service.Close, func() error {
		return box.RemoveCgroups("groundup-bench/pods", time.Now().Add(10*time.Second))
	})
	argv := []string{"/pause"}
	c.ours, err = newOurs(ctx, service, dir, images[0].Tags[0], argv, slices.Max(widths))
	c.undo = append(c.undo, func() error { return c.ours.Close(context.WithoutCancel(ctx)) })
	if err != nil {
		return err
	}
	layers, err := store.Layers(ctx, images[0])
	if err != nil {
		return err
	}
	return c.peers(memory, filepath.Join(dir, "rootfs"), layers, argv)
}

// peers gives runc, which has no layers, a copy of them, with the mount points
// that the image brings.
func (c *contest) peers(memory, rootfs string, layers, argv []string) (err error) {
	for _, layer := range layers {
		if err := os.CopyFS(rootfs, os.DirFS(layer)); err != nil {
			return err
		}
	}
	if c.makes, err = newRunc(filepath.Join(memory, "makes"), rootfs, argv, false); err != nil {
		return err
	}
	if c.joins, err = newRunc(filepath.Join(memory, "joins"), rootfs, argv, true); err != nil {
		return err
	}
	c.undo = append(c.undo, func() error { c.joins.Close(); return nil })
	return nil
}

func (c *contest) tempDir(in string) (string, error) {
	dir, err := os.MkdirTemp(in, "groundup-bench-")
	if err == nil {
		c.undo = append(c.undo, func() error { return os.RemoveAll(dir) })
	}
	return dir, err
}
