// Package noderuntime gives the kubelet its container runtime: the one of step 00
// inside this process, or any other behind a socket. The kubelet calls both by the
// same interfaces, those of the CRI.
package noderuntime

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"

	"github.com/k8s-groundup/groundup/steps/00-container/cri"
	"github.com/k8s-groundup/groundup/steps/00-container/network"
	"github.com/k8s-groundup/groundup/steps/00-container/network/bridge"
	"github.com/k8s-groundup/groundup/steps/00-container/network/none"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/config"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/criclient"
)

// A Runtime is a container runtime and what belongs to it.
type Runtime struct {
	runtimeapi.RuntimeServiceServer
	Images runtimeapi.ImageServiceServer

	// Streaming is the way to exec, attach and port-forward without a detour;
	// nil if the runtime is another process.
	Streaming streaming.Runtime

	// Run does what the runtime has to do beside answering calls, until ctx is
	// done.
	Run func(ctx context.Context) error

	subscribe func(context.Context) <-chan *runtimeapi.ContainerEventResponse
}

// Subscribe delivers the runtime's events until ctx is done or there are no more.
func (r *Runtime) Subscribe(ctx context.Context) <-chan *runtimeapi.ContainerEventResponse {
	return r.subscribe(ctx)
}

// Open returns the runtime that the configuration asks for. With one in this
// process, network connects its sandboxes, and others find it at a socket.
func Open(ctx context.Context, conf *config.Configuration, flags config.Flags, network func() (network.Network, error), log *slog.Logger) (*Runtime, error) {
	if conf.ContainerRuntimeEndpoint != "" {
		return dial(ctx, conf, log)
	}
	n, err := network()
	if err != nil {
		return nil, fmt.Errorf("pod network: %w", err)
	}
	s, err := cri.Open(cri.Config{Root: flags.RuntimeRoot, State: flags.RuntimeState, ShimPath: flags.Shim, Network: n, Log: log})
	if err != nil {
		return nil, err
	}
	return &Runtime{
		RuntimeServiceServer: s, Images: s, Streaming: s.Streaming(), subscribe: s.Subscribe,
		Run: func(ctx context.Context) error {
			return errors.Join(serve(ctx, s, flags.RuntimeState), s.Close())
		},
	}, nil
}

func dial(ctx context.Context, conf *config.Configuration, log *slog.Logger) (*Runtime, error) {
	ctx, cancel := context.WithTimeout(ctx, conf.RuntimeRequestTimeout.Duration)
	defer cancel()
	c, err := criclient.Dial(ctx, conf.ContainerRuntimeEndpoint, conf.ImageServiceEndpoint, conf.RuntimeRequestTimeout.Duration, log)
	if err != nil {
		return nil, err
	}
	if err := sameCgroupDriver(ctx, c); err != nil {
		return nil, errors.Join(fmt.Errorf("container runtime at %s: %w", conf.ContainerRuntimeEndpoint, err), c.Close())
	}
	return &Runtime{
		RuntimeServiceServer: c, Images: c, subscribe: c.Subscribe,
		Run: func(ctx context.Context) error {
			<-ctx.Done()
			return c.Close()
		},
	}, nil
}

// sameCgroupDriver refuses a runtime that hands cgroups to systemd: it takes the names
// of slices, and no pod would start. One that does not tell, as containerd before 2.0,
// is believed to go along.
func sameCgroupDriver(ctx context.Context, r runtimeapi.RuntimeServiceServer) error {
	conf, err := r.RuntimeConfig(ctx, &runtimeapi.RuntimeConfigRequest{})
	switch {
	case status.Code(err) == codes.Unimplemented:
		return nil
	case err != nil:
		return fmt.Errorf("ask for the configuration: %w", err)
	case conf.Linux != nil && conf.Linux.CgroupDriver != runtimeapi.CgroupDriver_CGROUPFS:
		return errors.New("its cgroup driver is systemd, and this kubelet's is cgroupfs: set SystemdCgroup = false in containerd's configuration")
	}
	return nil
}

// LacksSeccomp reports whether the runtime says that it can't filter system
// calls. One that says nothing of it, as containerd does, is taken to be able to.
func (r *Runtime) LacksSeccomp(ctx context.Context) (bool, error) {
	reply, err := r.Status(ctx, &runtimeapi.StatusRequest{Verbose: true})
	if err != nil {
		return false, fmt.Errorf("ask the container runtime for its status: %w", err)
	}
	var host struct{ Seccomp *bool }
	if err := json.Unmarshal([]byte(cmp.Or(reply.GetInfo()["host"], "{}")), &host); err != nil {
		return false, fmt.Errorf("status of the container runtime: %w", err)
	}
	return host.Seccomp != nil && !*host.Seccomp, nil
}

// Network returns the pod network of that kind: none, or bridge with addresses
// of the range cidr, whose state is kept in dir.
func Network(kind, cidr, dir string, log *slog.Logger) (network.Network, error) {
	switch kind {
	case "none":
		return none.New(), nil
	case "bridge":
		conf := bridge.Config{State: dir, Log: log}
		if cidr != "" {
			subnet, err := netip.ParsePrefix(cidr)
			if err != nil {
				return nil, fmt.Errorf("range of pod addresses: %w", err)
			}
			conf.Subnet = subnet
		}
		return bridge.New(conf)
	}
	return nil, fmt.Errorf("network %q: want none or bridge", kind)
}

// serve runs the service and answers at dir/cri.sock until ctx is done.
func serve(ctx context.Context, s *cri.Service, dir string) error {
	path := filepath.Join(dir, "cri.sock")
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // a killed kubelet's
		return fmt.Errorf("serve the CRI: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("serve the CRI: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(fmt.Errorf("serve the CRI: %w", err), l.Close())
	}
	server := grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(server, s)
	runtimeapi.RegisterImageServiceServer(server, s)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 2)
	go func() { done <- s.Run(ctx) }()
	go func() { done <- server.Serve(l) }()
	select {
	case err = <-done: // one of them has failed
		server.Stop()
		cancel()
		return errors.Join(err, <-done)
	case <-ctx.Done():
		server.Stop()
		return errors.Join(<-done, <-done)
	}
}
