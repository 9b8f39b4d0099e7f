// Package containerlog looks after the logs of containers: it rotates those that
// have grown, and keeps the links in /var/log/containers, where log shippers look.
//
// The runtime writes /var/log/pods/NAMESPACE_NAME_UID/CONTAINER/RESTART.log.
// Upstream: pkg/kubelet/logs/container_log_manager.go and
// pkg/kubelet/kuberuntime/legacy.go.
package containerlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/crilog"
)

// A Runtime is the part of the CRI that logs need.
type Runtime interface {
	ListContainers(context.Context, *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error)
	ContainerStatus(context.Context, *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error)
	ReopenContainerLog(context.Context, *runtimeapi.ReopenContainerLogRequest) (*runtimeapi.ReopenContainerLogResponse, error)
}

// A Keeper keeps the logs of one node. Its fields are set before use.
type Keeper struct {
	Runtime Runtime
	Links   string // /var/log/containers
	Limit   crilog.Limit
	Every   time.Duration
	Log     *slog.Logger
}

// Run rotates, and removes links that point nowhere, until ctx is done.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(k.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := errors.Join(k.rotate(ctx), k.prune()); err != nil && ctx.Err() == nil {
			k.Log.Warn("container logs", "err", err)
		}
	}
}

// Started makes the link to a container's log that says in its name whose it is.
// A container runs without it, too.
func (k *Keeper) Started(pod *corev1.Pod, c *corev1.Container, id, log string) {
	link := filepath.Join(k.Links, fmt.Sprintf("%s_%s_%s-%s.log", pod.Name, pod.Namespace, c.Name, id))
	err := os.MkdirAll(k.Links, 0o755)
	if err == nil {
		err = os.Symlink(log, link)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		k.Log.Warn("link to a container's log", "container", c.Name, "err", err)
	}
}

// prune removes links whose log is gone.
func (k *Keeper) prune() error {
	entries, err := os.ReadDir(k.Links)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var errs []error
	for _, e := range entries {
		link := filepath.Join(k.Links, e.Name())
		if _, err := os.Stat(link); e.Type() == fs.ModeSymlink && errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, os.Remove(link))
		}
	}
	return errors.Join(append(errs, err)...)
}

// rotate rotates the logs of all running containers that have outgrown the limit.
func (k *Keeper) rotate(ctx context.Context) error {
	running := runtimeapi.ContainerState_CONTAINER_RUNNING
	list, err := k.Runtime.ListContainers(ctx, &runtimeapi.ListContainersRequest{
		Filter: &runtimeapi.ContainerFilter{State: &runtimeapi.ContainerStateValue{State: running}}})
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range list.Containers {
		if err := k.rotateOne(ctx, c.Id); err != nil {
			errs = append(errs, fmt.Errorf("rotate the log of container %s: %w", c.Id, err))
		}
	}
	return errors.Join(errs...)
}

func (k *Keeper) rotateOne(ctx context.Context, id string) error {
	s, err := k.Runtime.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id})
	if err != nil || s.GetStatus().GetLogPath() == "" {
		return err
	}
	path := s.Status.LogPath
	rotated, err := crilog.Rotate(path, k.Limit)
	if err != nil {
		return err
	}
	// A log that is not there was renamed by a kubelet that did not live to
	// have it reopened.
	if _, err := os.Stat(path); !rotated && !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err = k.Runtime.ReopenContainerLog(ctx, &runtimeapi.ReopenContainerLogRequest{ContainerId: id}); err != nil {
		return errors.Join(err, crilog.Restore(path)) // the container has ended meanwhile, say
	}
	return nil
}
