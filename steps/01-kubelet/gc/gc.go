// Package gc removes what nobody needs any more: dead containers, sandboxes of
// the past, images that no container uses when the disk is filling up, and what
// pods have left on the disk that are gone.
//
// A dead container is worth something: its logs, its exit code. So the newest
// one of each container of a pod is kept as long as the pod is. Upstream:
// pkg/kubelet/kuberuntime/kuberuntime_gc.go and pkg/kubelet/images/image_gc_manager.go.
package gc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/crilog"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/observed"
)

// A Runtime is the part of the CRI that the collector needs.
type Runtime interface {
	observed.Runtime
	RemoveContainer(context.Context, *runtimeapi.RemoveContainerRequest) (*runtimeapi.RemoveContainerResponse, error)
	RemovePodSandbox(context.Context, *runtimeapi.RemovePodSandboxRequest) (*runtimeapi.RemovePodSandboxResponse, error)
}

// Orphans removes what is left of pods that keep does not know.
type Orphans func(ctx context.Context, keep func(types.UID) bool) error

// Cgroups makes Orphans of a function that needs no context.
func Cgroups(remove func(keep func(types.UID) bool) error) Orphans {
	return func(_ context.Context, keep func(types.UID) bool) error { return remove(keep) }
}

// A Collector collects on one node. Its exported fields are set before use.
type Collector struct {
	Runtime Runtime
	Images  *ImageCollector

	// Knows reports whether a pod is the kubelet's business; what belongs to
	// any other pod may go.
	Knows func(types.UID) bool

	// Orphans remove what pods that are not known have left behind: volumes,
	// cgroups.
	Orphans []Orphans

	MinAge  time.Duration // of a dead container before it may go; upstream's minimum-container-ttl-duration, 0
	MaxDead int           // kept of each container of a pod; upstream's maximum-dead-containers-per-container, 1

	PodsDir string // /var/lib/kubelet/pods
	LogsDir string // /var/log/pods
	Log     *slog.Logger
}

// How often, as upstream does.
const (
	firstLook       = time.Second
	containerPeriod = time.Minute
	imagePeriod     = 5 * time.Minute
)

// Run collects until ctx is done.
func (c *Collector) Run(ctx context.Context) error {
	// The first look comes soon: it is for what a killed predecessor left.
	containers, images := time.NewTimer(firstLook), time.NewTicker(imagePeriod)
	defer containers.Stop()
	defer images.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-containers.C:
			err = c.Collect(ctx)
			containers.Reset(containerPeriod)
		case <-images.C:
			err = c.Images.Collect(ctx)
		}
		if err != nil && ctx.Err() == nil {
			c.Log.Warn("garbage collection", "err", err)
		}
	}
}

// Collect removes containers, sandboxes and what is on the disk, once.
func (c *Collector) Collect(ctx context.Context) error {
	pods, err := observed.List(ctx, c.Runtime)
	if err != nil {
		return err
	}
	var errs []error
	for uid, p := range pods {
		old := surplus(p, c.Knows(uid), c.MaxDead, time.Now().Add(-c.MinAge))
		for _, id := range old.containers {
			errs = append(errs, c.removeContainer(ctx, id))
		}
		for _, id := range old.sandboxes {
			_, err := c.Runtime.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: id})
			errs = append(errs, err)
		}
	}
	keep := func(uid types.UID) bool { return c.Knows(uid) || pods[uid] != nil }
	for _, remove := range c.Orphans {
		errs = append(errs, remove(ctx, keep))
	}
	return errors.Join(append(errs, c.directories(keep))...)
}

// removeContainer removes a container and its log: the runtime leaves it to us. The
// log goes first, as without its container nobody would know of it.
func (c *Collector) removeContainer(ctx context.Context, id string) error {
	s, err := c.Runtime.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id})
	if status.Code(err) == codes.NotFound {
		return nil
	}
	if err == nil && s.GetStatus().GetLogPath() != "" {
		err = crilog.Remove(s.Status.LogPath)
	}
	if err != nil {
		return fmt.Errorf("remove the log of container %s: %w", id, err)
	}
	_, err = c.Runtime.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: id})
	return err
}

// A remainder is what of a pod may be removed.
type remainder struct{ containers, sandboxes []string }

// surplus decides what of a pod nobody needs: containers made before young that
// are dead, but for the newest few of each name; and sandboxes that are neither
// ready, nor the newest, nor have a container left. Of a pod that is not known
// nothing dead is needed.
func surplus(p *observed.Pod, known bool, keep int, young time.Time) remainder {
	var r remainder
	kept, occupied := map[string]int{}, map[string]bool{}
	for _, c := range p.Containers { // newest first
		dead := c.State == observed.Exited || c.State == observed.Created
		old := c.CreatedAt.Before(young)
		if dead && old && (!known || kept[c.Name] >= keep) && !(c.State == observed.Created && known && p.Container(c.Name).ID == c.ID) {
			r.containers = append(r.containers, c.ID)
			continue
		}
		if dead {
			kept[c.Name]++
		}
		occupied[c.SandboxID] = true
	}
	for i, s := range p.Sandboxes {
		if !s.Ready && !occupied[s.ID] && (i > 0 || !known) {
			r.sandboxes = append(r.sandboxes, s.ID)
		}
	}
	return r
}

// directories removes the directories of pods that nobody knows, if nothing is
// left in them that could be somebody's data.
func (c *Collector) directories(keep func(types.UID) bool) error {
	var errs []error
	logs, err := os.ReadDir(c.LogsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, e := range logs {
		parts := strings.Split(e.Name(), "_") // NAMESPACE_NAME_UID
		if len(parts) == 3 && !keep(types.UID(parts[2])) {
			errs = append(errs, os.RemoveAll(filepath.Join(c.LogsDir, e.Name())))
		}
	}
	pods, err := os.ReadDir(c.PodsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, e := range pods {
		if !keep(types.UID(e.Name())) {
			errs = append(errs, removePodDir(filepath.Join(c.PodsDir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// removePodDir removes a pod's directory, unless a volume is still there.
func removePodDir(dir string) error {
	for _, sub := range []string{"volumes", "volume-subpaths"} {
		left, err := filepath.Glob(filepath.Join(dir, sub, "*", "*"))
		if err != nil || len(left) > 0 {
			return fmt.Errorf("%s: volumes are left: %v", dir, slices.Concat(left))
		}
	}
	return os.RemoveAll(dir)
}
