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
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/image"
	"github.com/k8s-groundup/groundup/steps/00-container/imageservice"
	"github.com/k8s-groundup/groundup/steps/00-container/network"
	"github.com/k8s-groundup/groundup/steps/00-container/network/none"
	"github.com/k8s-groundup/groundup/steps/00-container/shim"
	"github.com/k8s-groundup/groundup/steps/00-container/spec"
	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// A Config says where a Service keeps its things and what it works with.
type Config struct {
	// Directories
	Root  string // what survives a reboot; /var/lib/groundup/runtime if empty
	State string // what does not: sockets, mounts, namespaces; /run/groundup if empty

	// Parts
	Images  *image.Store    // the images; Root/images if nil
	Network network.Network // connects sandboxes; none if nil
	Log     *slog.Logger    // slog.Default if nil

	// Programs and places
	ShimPath     string // the runtime-shim binary; beside this program, or in PATH, if empty
	CgroupParent string // of sandboxes that name none; "/groundup" if empty
	StreamAddr   string // where exec, attach and port-forward are served; "127.0.0.1:0" if empty
}

func (c Config) withDefaults() (Config, error) {
	c.Root = cmp.Or(c.Root, "/var/lib/groundup/runtime")
	c.State = cmp.Or(c.State, "/run/groundup")
	c.CgroupParent = cmp.Or(c.CgroupParent, "/groundup")
	c.StreamAddr = cmp.Or(c.StreamAddr, "127.0.0.1:0")
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Network == nil {
		c.Network = none.New()
	}
	for _, dir := range []*string{&c.Root, &c.State} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return c, err
		}
		*dir = abs
		// Users of a pod with a user namespace must get through to its files.
		if err := state.MkdirSpread(filepath.Join(abs, "pods"), 0o711); err != nil {
			return c, err
		}
	}
	var err error
	if c.Images == nil {
		if c.Images, err = image.Open(filepath.Join(c.Root, "images")); err != nil {
			return c, err
		}
	}
	if c.ShimPath == "" {
		c.ShimPath, err = findShim()
	}
	return c, err
}

func findShim() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "runtime-shim")
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath("runtime-shim")
	if err != nil {
		return "", errors.New("runtime-shim is neither beside this program nor in PATH: build it (go build ./cmd/runtime-shim) or name it with ShimPath")
	}
	return path, nil
}

// A Service is the runtime.
type Service struct {
	runtimeapi.UnimplementedRuntimeServiceServer // Checkpoint* and RestorePod are not there
	runtimeapi.ImageServiceServer

	conf    Config
	dirs    state.Dirs
	log     *slog.Logger
	host    func() (spec.Host, error)
	program func() (*shim.Program, error)
	records records
	usage   usageCache
	events  broadcaster
	streams *streams
	watched watched

	background sync.WaitGroup // what requests have begun and not waited for
}

var (
	_ runtimeapi.RuntimeServiceServer = (*Service)(nil)
	_ runtimeapi.ImageServiceServer   = (*Service)(nil)
)

// Open returns the Service over the directories of conf. What a killed
// predecessor left half done is undone here: containers and sandboxes whose
// creation did not finish are removed, and pods whose shim is gone get a new one.
func Open(conf Config) (*Service, error) {
	conf, err := conf.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open runtime: %w", err)
	}
	s := &Service{
		conf:               conf,
		dirs:               state.Dirs{Root: conf.Root, State: conf.State},
		log:                conf.Log,
		ImageServiceServer: imageservice.New(conf.Images, handlers...),
	}
	s.host = sync.OnceValues(s.probe)
	s.program = sync.OnceValues(func() (*shim.Program, error) { return shim.Open(conf.ShimPath) })
	if s.streams, err = newStreams(s, conf.StreamAddr); err != nil {
		return nil, fmt.Errorf("open runtime: %w", err)
	}
	if err := s.recover(context.Background()); err != nil {
		return nil, fmt.Errorf("open runtime: %w", err)
	}
	return s, nil
}

// Close ends what Open has opened. Pods are left as they are.
func (s *Service) Close() error {
	s.background.Wait()
	return s.streams.close()
}

// handlers are the names of runtime handlers. There is one, with two names.
var handlers = []string{"", "groundup"}

// probe asks the machine and the shim's binary what they can do.
func (s *Service) probe() (spec.Host, error) {
	out, err := exec.Command(s.conf.ShimPath, "features").Output()
	if err != nil {
		return spec.Host{}, fmt.Errorf("%s features: %w", s.conf.ShimPath, err)
	}
	var features struct{ Seccomp bool }
	if err := json.Unmarshal(out, &features); err != nil {
		return spec.Host{}, fmt.Errorf("%s features: %w", s.conf.ShimPath, err)
	}
	if !features.Seccomp {
		s.log.Info("no seccomp: runtime-shim was built without libseccomp, so RuntimeDefault means Unconfined")
	}
	return spec.Probe(features.Seccomp)
}
