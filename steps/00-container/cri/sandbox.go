package cri

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/network"
	"github.com/k8s-groundup/groundup/steps/00-container/shim"
	"github.com/k8s-groundup/groundup/steps/00-container/spec"
	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// RunPodSandbox makes a pod's namespaces, its cgroup and its shim, and
// connects it to the network. It is all or nothing.
func (s *Service) RunPodSandbox(ctx context.Context, req *runtimeapi.RunPodSandboxRequest) (*runtimeapi.RunPodSandboxResponse, error) {
	if err := validateSandbox(req); err != nil {
		return nil, toStatus(err)
	}
	id := state.NewID()
	unlock, err := s.lock(id)
	if err != nil {
		return nil, toStatus(err)
	}
	defer unlock()
	sb, err := s.reserve(id, req)
	if err != nil {
		return nil, toStatus(err)
	}
	if err := s.runSandbox(ctx, sb); err != nil {
		// The caller's time may be up; the cleaning must still be done.
		undo := s.removeSandbox(context.WithoutCancel(ctx), sb)
		if undo != nil { // from now on the client sees it, and can try to remove it again
			sb.Stage = failed
			undo = errors.Join(undo, state.Write(s.sandboxFile(id), sb))
		}
		return nil, toStatus(fmt.Errorf("sandbox %s/%s: %w", sb.Config.GetMetadata().GetNamespace(), sb.Config.GetMetadata().GetName(), errors.Join(err, undo)))
	}
	s.watch(id)
	s.publish(id, id, runtimeapi.ContainerEventType_CONTAINER_CREATED_EVENT)
	s.publish(id, id, runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT)
	return &runtimeapi.RunPodSandboxResponse{PodSandboxId: id}, nil
}

func validateSandbox(req *runtimeapi.RunPodSandboxRequest) error {
	if req.GetConfig().GetMetadata().GetName() == "" {
		return fmt.Errorf("%w: the sandbox has no name", errInvalid)
	}
	if h := req.GetRuntimeHandler(); !slices.Contains(handlers, h) {
		return fmt.Errorf("%w: no runtime handler is called %q", errInvalid, h)
	}
	sec := req.GetConfig().GetLinux().GetSecurityContext()
	if sec.GetRunAsGroup() != nil && sec.GetRunAsUser() == nil {
		return fmt.Errorf("%w: run_as_group is set without run_as_user", errInvalid)
	}
	for _, p := range req.GetConfig().GetPortMappings() {
		if _, err := portMapping(p); err != nil {
			return fmt.Errorf("%w: %w", errInvalid, err)
		}
	}
	if _, err := sysctls(req.GetConfig()); err != nil {
		return fmt.Errorf("%w: %w", errInvalid, err)
	}
	return checkUserNS(sec.GetNamespaceOptions())
}

func sysctls(c *runtimeapi.PodSandboxConfig) (files map[string]string, err error) {
	return spec.Sysctls(c.GetLinux().GetSysctls(), !hostNetwork(c), !hostIPC(c))
}

func checkUserNS(o *runtimeapi.NamespaceOption) error {
	u := o.GetUsernsOptions()
	switch {
	case u == nil || u.GetMode() == runtimeapi.NamespaceMode_NODE:
		return nil
	case u.GetMode() != runtimeapi.NamespaceMode_POD:
		return fmt.Errorf("%w: a user namespace is the pod's or the node's, not %s", errInvalid, u.GetMode())
	case len(u.GetUids()) != 1 || len(u.GetGids()) != 1:
		return fmt.Errorf("%w: a user namespace needs one mapping of user ids and one of group ids", errInvalid)
	case u.GetUids()[0].GetContainerId() != 0 || u.GetGids()[0].GetContainerId() != 0:
		return fmt.Errorf("%w: a user namespace must map id 0", errInvalid)
	}
	if o.GetNetwork() == runtimeapi.NamespaceMode_NODE || o.GetIpc() == runtimeapi.NamespaceMode_NODE || o.GetPid() == runtimeapi.NamespaceMode_NODE {
		return fmt.Errorf("%w: a pod with a user namespace can't share other namespaces with the node", errInvalid)
	}
	return nil
}

// namesLock is held while a sandbox gets its name.
const namesLock = "names"

// errExists is when there is a sandbox of the same name, UID and attempt.
var errExists = errors.New("exists already")

// reserve writes the first record, unless another sandbox has the same name.
func (s *Service) reserve(id string, req *runtimeapi.RunPodSandboxRequest) (*sandbox, error) {
	unlock, err := s.lock(namesLock)
	if err != nil {
		return nil, err
	}
	defer unlock()
	all, err := s.allSandboxes()
	if err != nil {
		return nil, err
	}
	m := req.GetConfig().GetMetadata()
	for _, other := range all {
		o := other.Config.GetMetadata()
		if o.GetName() == m.GetName() && o.GetNamespace() == m.GetNamespace() && o.GetUid() == m.GetUid() && o.GetAttempt() == m.GetAttempt() {
			return nil, fmt.Errorf("sandbox %s/%s, attempt %d, %w: %s", m.GetNamespace(), m.GetName(), m.GetAttempt(), errExists, other.ID)
		}
	}
	sb := &sandbox{
		ID: id, Stage: creating, Handler: req.GetRuntimeHandler(), CreatedAt: time.Now(),
		Config: req.GetConfig(), Cgroup: req.GetConfig().GetLinux().GetCgroupParent(),
	}
	if sb.Cgroup == "" {
		sb.Cgroup, sb.OwnCgroup = filepath.Join(s.conf.CgroupParent, "pod"+id), true
	}
	if err := state.MkdirSpread(filepath.Join(s.dirs.Pod(id), "containers"), 0o711); err != nil {
		return nil, err
	}
	return sb, state.Write(s.sandboxFile(id), sb)
}

func (s *Service) runSandbox(ctx context.Context, sb *sandbox) error {
	run := s.dirs.RunPod(sb.ID)
	if err := os.MkdirAll(filepath.Join(run, "containers"), 0o711); err != nil {
		return err
	}
	if err := s.writePodFiles(sb); err != nil {
		return err
	}
	if err := state.Write(filepath.Join(run, "pod.json"), s.shimPod(sb)); err != nil {
		return err
	}
	program, err := s.program()
	if err != nil {
		return err
	}
	if _, err := shim.Start(ctx, program, run); err != nil {
		return err
	}
	if !hostNetwork(sb.Config) {
		result, err := s.conf.Network.Attach(ctx, s.networkSandbox(sb))
		if err != nil {
			return err
		}
		sb.IPs = result.IPs
	}
	if err := s.writeHosts(sb); err != nil {
		return err
	}
	sb.Stage = ready
	return state.Write(s.sandboxFile(sb.ID), sb)
}

func hostNetwork(c *runtimeapi.PodSandboxConfig) bool {
	return c.GetLinux().GetSecurityContext().GetNamespaceOptions().GetNetwork() == runtimeapi.NamespaceMode_NODE
}

func hostIPC(c *runtimeapi.PodSandboxConfig) bool {
	return c.GetLinux().GetSecurityContext().GetNamespaceOptions().GetIpc() == runtimeapi.NamespaceMode_NODE
}

// userNS returns the mapping of the pod's user namespace, or nil.
func userNS(c *runtimeapi.PodSandboxConfig) *runtimeapi.UserNamespace {
	u := c.GetLinux().GetSecurityContext().GetNamespaceOptions().GetUsernsOptions()
	if u == nil || u.GetMode() != runtimeapi.NamespaceMode_POD {
		return nil
	}
	return u
}

// shimPod is what the shim is told.
func (s *Service) shimPod(sb *sandbox) shim.Pod {
	c := sb.Config
	p := shim.Pod{
		ID: sb.ID, Dirs: s.dirs,
		Net:        !hostNetwork(c),
		IPC:        !hostIPC(c),
		PID:        c.GetLinux().GetSecurityContext().GetNamespaceOptions().GetPid() == runtimeapi.NamespaceMode_POD,
		Hostname:   c.GetHostname(),
		CgroupPath: filepath.Join(sb.Cgroup, sb.ID),
		OOMScore:   -998, // as dockershim's pause had: the pod's last to go
	}
	p.Sysctls, _ = sysctls(c) // they were checked before there was a sandbox
	if u := userNS(c); u != nil {
		p.UIDs, p.GIDs = idMaps(u.GetUids()), idMaps(u.GetGids())
	}
	return p
}

func idMaps(maps []*runtimeapi.IDMapping) (out []shim.IDMap) {
	for _, m := range maps {
		out = append(out, shim.IDMap{Container: int(m.GetContainerId()), Host: int(m.GetHostId()), Size: int(m.GetLength())})
	}
	return out
}

func (s *Service) networkSandbox(sb *sandbox) network.Sandbox {
	m := sb.Config.GetMetadata()
	n := network.Sandbox{
		ID: sb.ID, Namespace: m.GetNamespace(), Name: m.GetName(), UID: m.GetUid(),
		Netns: s.dirs.Netns(sb.ID), Hostname: sb.Config.GetHostname(), Annotations: sb.Config.GetAnnotations(),
	}
	for _, p := range sb.Config.GetPortMappings() {
		if mapping, err := portMapping(p); err == nil && mapping.HostPort != 0 {
			n.PortMappings = append(n.PortMappings, mapping)
		}
	}
	return n
}

func portMapping(p *runtimeapi.PortMapping) (m network.PortMapping, err error) {
	m = network.PortMapping{Protocol: p.GetProtocol().String(), HostPort: uint16(p.GetHostPort()), ContainerPort: uint16(p.GetContainerPort())}
	if int32(m.HostPort) != p.GetHostPort() || int32(m.ContainerPort) != p.GetContainerPort() {
		return m, fmt.Errorf("port mapping %d to %d: a port is between 0 and 65535", p.GetHostPort(), p.GetContainerPort())
	}
	if p.GetHostIp() != "" {
		m.HostIP, err = netip.ParseAddr(p.GetHostIp())
	}
	return m, err
}

// StopPodSandbox ends everything that runs in the pod and gives its network
// back. It may be called again, and on a sandbox that is gone.
func (s *Service) StopPodSandbox(ctx context.Context, req *runtimeapi.StopPodSandboxRequest) (*runtimeapi.StopPodSandboxResponse, error) {
	err := s.withSandbox(req.GetPodSandboxId(), func(sb *sandbox) error {
		if sb.Stage == stopped {
			return nil
		}
		if err := s.stopSandbox(ctx, sb); err != nil {
			return err
		}
		s.publish(sb.ID, sb.ID, runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT)
		return nil
	})
	return &runtimeapi.StopPodSandboxResponse{}, toStatus(err)
}

// RemovePodSandbox removes a sandbox and its containers, and stops them if
// need be. A sandbox that is gone has been removed.
func (s *Service) RemovePodSandbox(ctx context.Context, req *runtimeapi.RemovePodSandboxRequest) (*runtimeapi.RemovePodSandboxResponse, error) {
	err := s.withSandbox(req.GetPodSandboxId(), func(sb *sandbox) error {
		if err := s.removeSandbox(ctx, sb); err != nil {
			return err
		}
		s.publish(sb.ID, sb.ID, runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT)
		return nil
	})
	return &runtimeapi.RemovePodSandboxResponse{}, toStatus(err)
}

// withSandbox calls f under the sandbox's lock. One that does not exist is fine.
func (s *Service) withSandbox(id string, f func(*sandbox) error) error {
	sb, err := s.sandbox(id)
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	unlock, err := s.lock(sb.ID)
	if err != nil {
		return err
	}
	defer unlock()
	if sb, err = s.sandbox(sb.ID); errors.Is(err, state.ErrNotFound) {
		return nil // somebody else was quicker
	}
	if err != nil {
		return err
	}
	changed := *sb // the one we got is shared by the cache
	return f(&changed)
}

// stopSandbox goes the way of runSandbox backwards.
func (s *Service) stopSandbox(ctx context.Context, sb *sandbox) error {
	client, err := s.shim(ctx, sb.ID)
	if err != nil {
		return err
	}
	if err := s.killAll(ctx, sb); err != nil {
		return err
	}
	if !hostNetwork(sb.Config) {
		if err := s.conf.Network.Detach(ctx, s.networkSandbox(sb)); err != nil {
			return err
		}
	}
	if err := s.shutdown(ctx, sb, client); err != nil {
		return err
	}
	if err := s.releasePod(sb); err != nil {
		return err
	}
	sb.Stage = stopped
	return state.Write(s.sandboxFile(sb.ID), sb)
}

// killAll kills the containers that run.
func (s *Service) killAll(ctx context.Context, sb *sandbox) error {
	containers, err := s.containersOf(sb.ID)
	if err != nil {
		return err
	}
	for _, c := range containers {
		if s.stateOf(c) != runtimeapi.ContainerState_CONTAINER_RUNNING {
			continue
		}
		if err := s.kill(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// lateStart bounds the wait for a container that was being started when its
// manager was killed.
const lateStart = 10 * time.Second

// shutdown ends the shim. The shim refuses while a container runs, and one may
// begin to only now: a manager that was killed may have asked for it before, and
// the shim carries out what it was asked for.
func (s *Service) shutdown(ctx context.Context, sb *sandbox, client *shim.Client) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(lateStart); ; {
		err := client.Shutdown(ctx)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
		if err := s.killAll(ctx, sb); err != nil {
			return err
		}
	}
}

func (s *Service) removeSandbox(ctx context.Context, sb *sandbox) error {
	if sb.Stage != stopped {
		if err := s.stopSandbox(ctx, sb); err != nil {
			return err
		}
	}
	ids, err := names(filepath.Join(s.dirs.Pod(sb.ID), "containers"))
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.discardContainer(sb.ID, id); err != nil {
			return err
		}
	}
	if sb.OwnCgroup {
		if err := removeCgroup(sb.Cgroup); err != nil {
			return err
		}
	}
	return errors.Join(
		os.RemoveAll(s.dirs.RunPod(sb.ID)),
		os.RemoveAll(s.dirs.Pod(sb.ID)),
		removeFile(s.adoptFile(sb.ID)),
		removeFile(s.lockFile(sb.ID)),
	)
}
