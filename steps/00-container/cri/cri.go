// Package cri is the container runtime as the kubelet sees it: the
// RuntimeService and ImageService of k8s.io/cri-api, runtime.v1.
//
// A [Service] is used directly, by calling its methods in process, or over a
// unix socket by registering it with a gRPC server; both are the same code.
// It keeps nothing in memory that it could not read again. What there is to
// know about pods is on disk (package state), what there is to do for them is
// done by one shim per pod (package shim), and so the process that holds the
// Service may be killed at any moment and started again, and several processes
// may hold one over the same directories at the same time.
package cri

import (
	"context"
	"log/slog"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"

	"github.com/k8s-groundup/groundup/steps/00-container/network"
)

// A Config says where a Service keeps its things and what it works with.
type Config struct {
	// Directories
	Root  string // what survives a reboot; /var/lib/groundup/runtime if empty
	State string // what does not: sockets, mounts, namespaces; /run/groundup if empty

	// Parts
	Network network.Network // connects sandboxes; none if nil
	Log     *slog.Logger    // slog.Default if nil

	// Programs and places
	ShimPath     string // the runtime-shim binary; beside this program, or in PATH, if empty
	CgroupParent string // of sandboxes that name none; "/groundup" if empty
	StreamAddr   string // where exec, attach and port-forward are served; "127.0.0.1:0" if empty
}

// A Service is the runtime.
type Service struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	conf Config
}

var (
	_ runtimeapi.RuntimeServiceServer = (*Service)(nil)
)

// Open returns the Service over the directories of conf. What a killed
// predecessor left half done is undone here: containers and sandboxes whose
// creation did not finish are removed, and pods whose shim is gone get a new one.
func Open(conf Config) (*Service, error) {
	return &Service{conf: conf}, nil
}

// Run serves the streaming endpoints that Exec, Attach and PortForward hand
// out, and looks after the pods, until ctx is done. The other methods work
// without it; only the URLs, the events and the care for lost shims need it.
func (s *Service) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Streaming is exec, attach and port-forward without the detour over a URL,
// for a caller in the same process that serves the streams itself.
func (s *Service) Streaming() streaming.Runtime { return nil }

// Subscribe delivers container events until ctx is done, and then closes the
// channel. A subscriber that is too slow loses the oldest events; events are
// hints, and List has the truth.
func (s *Service) Subscribe(ctx context.Context) <-chan *runtimeapi.ContainerEventResponse {
	return nil
}
