package cri

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/image"
	"github.com/k8s-groundup/groundup/steps/00-container/shim"
	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// CreateContainer prepares a container: it settles what will run and how, and
// writes that down. There is no process yet. It is all or nothing.
func (s *Service) CreateContainer(ctx context.Context, req *runtimeapi.CreateContainerRequest) (*runtimeapi.CreateContainerResponse, error) {
	c, err := s.createContainer(ctx, req)
	if err != nil {
		return nil, toStatus(fmt.Errorf("container %s: %w", req.GetConfig().GetMetadata().GetName(), err))
	}
	s.publish(c.Sandbox, c.ID, runtimeapi.ContainerEventType_CONTAINER_CREATED_EVENT)
	return &runtimeapi.CreateContainerResponse{ContainerId: c.ID}, nil
}

func (s *Service) createContainer(ctx context.Context, req *runtimeapi.CreateContainerRequest) (*container, error) {
	if req.GetConfig().GetMetadata().GetName() == "" {
		return nil, fmt.Errorf("%w: the container has no name", errInvalid)
	}
	sb, err := s.sandbox(req.GetPodSandboxId())
	if err != nil {
		return nil, err
	}
	unlock, err := s.lock(sb.ID)
	if err != nil {
		return nil, err
	}
	defer unlock()
	pause, alive := s.pause(sb.ID)
	if sb.Stage != ready || !alive {
		return nil, fmt.Errorf("sandbox %s is not ready", sb.ID)
	}
	if err := s.checkName(sb, req.GetConfig().GetMetadata()); err != nil {
		return nil, err
	}
	s.beginGracePeriod()
	id := state.NewID()
	c, err := s.prepare(ctx, sb, pause.PID, id, req.GetConfig())
	if err != nil {
		return nil, errors.Join(err, s.discardContainer(sb.ID, id))
	}
	return c, nil
}

func (s *Service) checkName(sb *sandbox, m *runtimeapi.ContainerMetadata) error {
	others, err := s.containersOf(sb.ID)
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.Config.GetMetadata().GetName() == m.GetName() && o.Config.GetMetadata().GetAttempt() == m.GetAttempt() {
			return fmt.Errorf("attempt %d exists already: %s", m.GetAttempt(), o.ID)
		}
	}
	return nil
}

// prepare writes a container's files, its record last.
func (s *Service) prepare(ctx context.Context, sb *sandbox, pausePID int, id string, config *runtimeapi.ContainerConfig) (*container, error) {
	dir, run := s.dirs.Container(sb.ID, id), s.dirs.RunContainer(sb.ID, id)
	for _, d := range []string{dir, run} {
		if err := os.MkdirAll(d, 0o711); err != nil {
			return nil, err
		}
	}
	img, layers, err := s.hold(ctx, id, config.GetImage().GetImage())
	if err != nil {
		return nil, err
	}
	config, err = s.mountImages(ctx, id, run, config)
	if err != nil {
		return nil, err
	}
	ociSpec, err := s.generate(sb, pausePID, id, config, img, layers)
	if err != nil {
		return nil, err
	}
	c := &container{
		ID: id, Sandbox: sb.ID, CreatedAt: time.Now(), Config: config, ImageID: img.ID, ImageRef: imageRef(img), ImageTag: imageTag(img),
		Cgroup: ociSpec.Linux.CgroupsPath, Signal: stopSignal(config, img), User: userOf(ociSpec),
		Resources: config.GetLinux().GetResources(),
	}
	if config.GetLogPath() != "" {
		c.LogPath = filepath.Join(sb.Config.GetLogDirectory(), config.GetLogPath())
	}
	return c, errors.Join(
		state.Write(filepath.Join(run, "config.json"), ociSpec),
		state.Write(filepath.Join(run, "bundle.json"), s.bundle(sb, c, pausePID, layers)),
		state.Write(filepath.Join(dir, "container.json"), c),
	)
}

func userOf(s *specs.Spec) *runtimeapi.LinuxContainerUser {
	u := &runtimeapi.LinuxContainerUser{Uid: int64(s.Process.User.UID), Gid: int64(s.Process.User.GID)}
	for _, g := range s.Process.User.AdditionalGids {
		u.SupplementalGroups = append(u.SupplementalGroups, int64(g))
	}
	return u
}

// stopSignal is, by the first that is set: the container's, the image's, SIGTERM.
func stopSignal(config *runtimeapi.ContainerConfig, img image.Image) string {
	if sig := config.GetStopSignal(); sig != runtimeapi.Signal_SIGNAL_RUNTIME_DEFAULT {
		return strings.TrimPrefix(sig.String(), "SIGNAL_")
	}
	if sig := img.Config.Config.StopSignal; sig != "" {
		return sig
	}
	return "SIGTERM"
}

// StartContainer runs a created container.
func (s *Service) StartContainer(ctx context.Context, req *runtimeapi.StartContainerRequest) (*runtimeapi.StartContainerResponse, error) {
	c, err := s.container(req.GetContainerId())
	if err == nil {
		err = s.startContainer(ctx, c)
	}
	if err != nil {
		return nil, toStatus(err)
	}
	s.publish(c.Sandbox, c.ID, runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT)
	return &runtimeapi.StartContainerResponse{}, nil
}

func (s *Service) startContainer(ctx context.Context, c *container) error {
	unlock, err := s.lock(c.Sandbox)
	if err != nil {
		return err
	}
	defer unlock()
	if now := s.stateOf(c); now != runtimeapi.ContainerState_CONTAINER_CREATED {
		return fmt.Errorf("container %s is in state %s, want CONTAINER_CREATED", c.ID, now)
	}
	return s.withShim(ctx, c.Sandbox, func(client *shim.Client) error {
		// What came of a start in which the shim died, the next shim has decided.
		if s.startedAs(c) != nil {
			return nil
		}
		if exit := s.exit(c); exit != nil {
			return fmt.Errorf("start container %s: %s", c.ID, exit.Message)
		}
		// A start that was begun must end; it must not be left to a caller's patience.
		_, err := client.StartContainer(context.WithoutCancel(ctx), c.ID)
		return err
	})
}

// killPatience is how long the kernel may take to end what got SIGKILL.
const killPatience = 2 * time.Minute

// StopContainer asks a container to stop, and kills it when the time is over.
// One that has stopped, or is gone, takes no time.
func (s *Service) StopContainer(ctx context.Context, req *runtimeapi.StopContainerRequest) (*runtimeapi.StopContainerResponse, error) {
	resp := &runtimeapi.StopContainerResponse{}
	c, err := s.container(req.GetContainerId())
	if errors.Is(err, state.ErrNotFound) {
		return resp, nil
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return resp, toStatus(s.stop(ctx, c, time.Duration(req.GetTimeout())*time.Second))
}

func (s *Service) stop(ctx context.Context, c *container, grace time.Duration) error {
	if s.stateOf(c) != runtimeapi.ContainerState_CONTAINER_RUNNING {
		return nil
	}
	if grace > 0 {
		sig, err := parseSignal(c.Signal)
		if err != nil {
			return err
		}
		ended, err := s.signalAndWait(ctx, c, sig, grace)
		if err != nil || ended {
			return err
		}
	}
	return s.kill(ctx, c)
}

// kill ends a container at once.
func (s *Service) kill(ctx context.Context, c *container) error {
	ended, err := s.signalAndWait(ctx, c, unix.SIGKILL, killPatience)
	if err == nil && !ended {
		err = fmt.Errorf("container %s did not end %s after SIGKILL", c.ID, killPatience)
	}
	return err
}

// signalAndWait reports whether the container ended within the time. A shim
// that dies meanwhile is replaced, and asked again.
func (s *Service) signalAndWait(ctx context.Context, c *container, sig unix.Signal, patience time.Duration) (bool, error) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		client, err := s.shim(waiting, c.Sandbox)
		if err == nil {
			err = client.Signal(waiting, c.ID, sig)
		}
		if err == nil {
			_, err = client.Wait(waiting, c.ID)
		}
		switch {
		case err == nil || s.exit(c) != nil:
			return true, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		case waiting.Err() != nil:
			return false, nil
		case !errors.Is(err, shim.ErrGone):
			return false, err
		}
	}
}

func parseSignal(name string) (unix.Signal, error) {
	name = strings.ToUpper(name)
	if n, err := strconv.Atoi(name); err == nil && n > 0 && n <= 64 {
		return unix.Signal(n), nil
	}
	if base, offset, ok := realtime(strings.TrimPrefix(name, "SIG")); ok {
		return unix.Signal(base + offset), nil
	}
	if sig := unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG")); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("unknown signal %q", name)
}

// realtime reads RTMIN+3, which the CRI spells RTMINPLUS3, and RTMAX-3. The C
// library keeps the first two of the kernel's 32..64 for itself.
func realtime(name string) (base, offset int, ok bool) {
	name = strings.NewReplacer("PLUS", "+", "MINUS", "-").Replace(name)
	for prefix, number := range map[string]int{"RTMIN": 34, "RTMAX": 64} {
		if rest, found := strings.CutPrefix(name, prefix); found {
			if rest == "" {
				return number, 0, true
			}
			n, err := strconv.Atoi(rest)
			return number, n, err == nil
		}
	}
	return 0, 0, false
}

// RemoveContainer removes a container, and kills it first if it runs. One that
// is gone has been removed. Its log stays: it is the kubelet's.
func (s *Service) RemoveContainer(ctx context.Context, req *runtimeapi.RemoveContainerRequest) (*runtimeapi.RemoveContainerResponse, error) {
	resp := &runtimeapi.RemoveContainerResponse{}
	c, err := s.container(req.GetContainerId())
	if errors.Is(err, state.ErrNotFound) {
		return resp, nil
	}
	if err != nil {
		return nil, toStatus(err)
	}
	if err := s.stop(ctx, c, 0); err != nil {
		return nil, toStatus(err)
	}
	unlock, err := s.lock(c.Sandbox)
	if err != nil {
		return nil, toStatus(err)
	}
	defer unlock()
	if err := s.discardContainer(c.Sandbox, c.ID); err != nil {
		return nil, toStatus(err)
	}
	s.publish(c.Sandbox, c.ID, runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT)
	return resp, nil
}

// ReopenContainerLog makes the log go on in a new file, after a rotation.
func (s *Service) ReopenContainerLog(ctx context.Context, req *runtimeapi.ReopenContainerLogRequest) (*runtimeapi.ReopenContainerLogResponse, error) {
	c, err := s.running(req.GetContainerId())
	if err == nil {
		err = s.withShim(ctx, c.Sandbox, func(client *shim.Client) error { return client.ReopenLog(ctx, c.ID) })
	}
	return &runtimeapi.ReopenContainerLogResponse{}, toStatus(err)
}

// running finds a container that must be running.
func (s *Service) running(id string) (*container, error) {
	c, err := s.container(id)
	if err != nil {
		return nil, err
	}
	if now := s.stateOf(c); now != runtimeapi.ContainerState_CONTAINER_RUNNING {
		return nil, fmt.Errorf("container %s is not running: it is in state %s", c.ID, now)
	}
	return c, nil
}
