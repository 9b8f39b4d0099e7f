package cri

import (
	"context"
	"fmt"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/image"
	"github.com/k8s-groundup/groundup/steps/00-container/overlay"
	"github.com/k8s-groundup/groundup/steps/00-container/shim"
	"github.com/k8s-groundup/groundup/steps/00-container/spec"
	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

func (s *Service) generate(sb *sandbox, pausePID int, id string, config *runtimeapi.ContainerConfig, img image.Image, layers []string) (*specs.Spec, error) {
	host, err := s.host()
	if err != nil {
		return nil, err
	}
	req := spec.Request{
		ID:      id,
		Rootfs:  filepath.Join(s.dirs.RunContainer(sb.ID, id), "rootfs"),
		Config:  config,
		Image:   img.Config.Config,
		Files:   spec.InLayers(layers),
		Sandbox: s.specSandbox(sb, pausePID),
		Host:    host,
	}
	ns := config.GetLinux().GetSecurityContext().GetNamespaceOptions()
	if ns.GetPid() == runtimeapi.NamespaceMode_TARGET {
		if req.TargetPID, err = s.targetPID(sb, ns.GetTargetId()); err != nil {
			return nil, err
		}
	}
	if config.GetLinux().GetSecurityContext().GetPrivileged() && !sb.Config.GetLinux().GetSecurityContext().GetPrivileged() {
		return nil, fmt.Errorf("%w: a privileged container needs a privileged sandbox", errInvalid)
	}
	for _, m := range config.GetMounts() {
		if err := checkSource(m); err != nil {
			return nil, err
		}
	}
	return spec.Generate(req)
}

// Spec returns the OCI runtime spec that a container of this config would
// have, standing alone: where it would join a pod's namespaces it has new ones.
func (s *Service) Spec(ctx context.Context, config *runtimeapi.ContainerConfig) (*specs.Spec, error) {
	img, err := s.conf.Images.Resolve(config.GetImage().GetImage())
	if err != nil {
		return nil, toStatus(fmt.Errorf("image %q: %w", config.GetImage().GetImage(), err))
	}
	layers, err := s.conf.Images.Layers(ctx, img)
	if err != nil {
		return nil, toStatus(err)
	}
	host, err := s.host()
	if err != nil {
		return nil, err
	}
	return spec.Generate(spec.Request{
		ID: "alone", Rootfs: "rootfs", Config: config, Image: img.Config.Config, Files: spec.InLayers(layers),
		Sandbox: spec.Sandbox{CgroupParent: s.conf.CgroupParent}, Host: host,
	})
}

// ContainerSpec returns the OCI runtime spec of a container that there is.
func (s *Service) ContainerSpec(id string) (*specs.Spec, error) {
	c, err := s.container(id)
	if err != nil {
		return nil, toStatus(err)
	}
	out := &specs.Spec{}
	return out, toStatus(state.Read(filepath.Join(s.dirs.RunContainer(c.Sandbox, c.ID), "config.json"), out))
}

// checkSource resolves a mount's source: the CRI wants what a link points to,
// and an error where there is nothing.
func checkSource(m *runtimeapi.Mount) error {
	path, err := filepath.EvalSymlinks(m.GetHostPath())
	if err != nil {
		return fmt.Errorf("mount at %s: %w", m.GetContainerPath(), err)
	}
	m.HostPath = path
	return nil
}

func (s *Service) targetPID(sb *sandbox, id string) (int, error) {
	target, err := s.container(id)
	if err != nil {
		return 0, err
	}
	if target.Sandbox != sb.ID {
		return 0, fmt.Errorf("%w: target %s is in another sandbox", errInvalid, id)
	}
	if s.stateOf(target) != runtimeapi.ContainerState_CONTAINER_RUNNING {
		return 0, fmt.Errorf("target %s is not running", id)
	}
	return s.startedAs(target).PID, nil
}

func (s *Service) bundle(sb *sandbox, c *container, pausePID int, layers []string) shim.Bundle {
	dir := s.dirs.Container(sb.ID, c.ID)
	b := shim.Bundle{
		Rootfs:  overlay.Rootfs{Lower: layers, Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work")},
		LogPath: c.LogPath,
		TTY:     c.Config.GetTty(),
		Stdin:   c.Config.GetStdin(),
	}
	if u := userNS(sb.Config); u != nil {
		b.Rootfs.UserNS = fmt.Sprintf("/proc/%d/ns/user", pausePID)
		b.Rootfs.UID, b.Rootfs.GID = int(u.GetUids()[0].GetHostId()), int(u.GetGids()[0].GetHostId())
	}
	return b
}
