// Package fakecri is a small working container runtime without processes.
//
// It keeps sandboxes, containers and images in memory and behaves as the CRI
// asks: states move only forward, names are reserved, a sandbox's stop stops its
// containers. What a container's process would do is a [Program], looked up by
// image name: run for a while and exit, ignore SIGTERM, answer exec. Time is the
// time package's, so in a testing/synctest bubble a day passes at once.
package fakecri

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A Program is what the processes of an image do.
type Program struct {
	Runs     time.Duration // until it exits by itself; 0 runs until stopped
	Exit     int32         // code of that exit
	Reason   string        // OOMKilled, for one; empty follows from Exit
	StopsIn  time.Duration // from SIGTERM to exit
	StopExit int32         // exit code after SIGTERM
	Deaf     bool          // ignores SIGTERM
	Memory   uint64        // bytes that it uses

	// Exec answers ExecSync; nil succeeds at once.
	Exec func(ctx context.Context, cmd []string) (stdout string, exit int32, err error)
}

// Runtime implements both CRI services. Its exported fields are set before use.
type Runtime struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	runtimeapi.UnimplementedImageServiceServer

	// Fail, when set, is asked before every call that changes something:
	// method, and the container's name, sandbox's pod or image concerned.
	Fail func(method, name string) error

	// Log, when set, is told every call that changed something.
	Log func(method, name string)

	mu         sync.Mutex // guards the fields below
	serial     int
	sandboxes  map[string]*sandbox
	containers map[string]*container
	images     map[string]*runtimeapi.Image
	programs   map[string]Program // by image name
}

type sandbox struct {
	runtimeapi.PodSandbox
	ip string
}

type container struct {
	runtimeapi.ContainerStatus
	sandbox string
	program Program
	ends    time.Time // when the process exits, if it is known already
	code    int32
}

// New returns a runtime that has the named images.
func New(images ...string) *Runtime {
	r := &Runtime{
		programs:   map[string]Program{},
		sandboxes:  map[string]*sandbox{},
		containers: map[string]*container{},
		images:     map[string]*runtimeapi.Image{},
	}
	for _, name := range images {
		r.images[name] = &runtimeapi.Image{Id: "sha256:" + name, RepoTags: []string{name}, Size: 1 << 20}
	}
	return r
}

// SetProgram says what the processes of an image do that are started from now
// on. Without one they run for ever.
func (r *Runtime) SetProgram(image string, p Program) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.programs[image] = p
}

// did asks Fail, and tells Log what is about to be done.
func (r *Runtime) did(method, name string) error {
	if r.Fail != nil {
		if err := r.Fail(method, name); err != nil {
			return err
		}
	}
	if r.Log != nil {
		r.Log(method, name)
	}
	return nil
}

func (r *Runtime) id(kind string) string {
	r.serial++
	return fmt.Sprintf("%s-%d", kind, r.serial)
}

func (r *Runtime) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{Version: "0.1.0", RuntimeName: "fakecri", RuntimeVersion: "1", RuntimeApiVersion: "v1"}, nil
}

func (r *Runtime) Status(context.Context, *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	return &runtimeapi.StatusResponse{Status: &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{
		{Type: runtimeapi.RuntimeReady, Status: true}, {Type: runtimeapi.NetworkReady, Status: true}}}}, nil
}

func notFound(kind, id string) error {
	return status.Errorf(codes.NotFound, "no %s %q", kind, id)
}

// matches reports whether labels satisfy the selector.
func matches(labels, selector map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}
