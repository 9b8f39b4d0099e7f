package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"

	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/cri"
	"github.com/k8s-groundup/groundup/steps/00-container/image"
	"github.com/spf13/cobra"
)

// app is what the commands share.
type app struct {
	conf    cri.Config
	verbose bool
}

// Labels and annotations of what this command makes. A pod of the kubelet has
// none of them.
const (
	labelCommand    = "groundup.dev/command"     // "runtime"
	labelAutoRemove = "groundup.dev/auto-remove" // "true": remove it when it has ended
	networkKind     = "groundup.dev/network"     // none or bridge
)

// store opens the images alone, for commands that need no containers.
func (a *app) store() (*image.Store, error) {
	return image.Open(filepath.Join(a.conf.Root, "images"))
}

// open opens the runtime, and removes what was to be removed when it ended.
func (a *app) open(ctx context.Context) (*cri.Service, error) {
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelDebug
	}
	conf := a.conf
	conf.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	conf.Network = &networks{dir: filepath.Join(conf.State, "bridge"), log: conf.Log}
	s, err := cri.Open(conf)
	if err != nil {
		return nil, err
	}
	return s, a.sweep(ctx, s)
}

// withRuntime is what a command does with the runtime, as cobra wants it.
func (a *app) withRuntime(f func(c *cobra.Command, s *cri.Service, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		s, err := a.open(c.Context())
		if err != nil {
			return err
		}
		defer s.Close()
		return f(c, s, args)
	}
}

// withImages is what a command does with the images alone, as cobra wants it.
func (a *app) withImages(f func(c *cobra.Command, store *image.Store, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		store, err := a.store()
		if err != nil {
			return err
		}
		return f(c, store, args)
	}
}

// table aligns the columns of lines that are separated by tabs, at Flush.
func table(c *cobra.Command) *tabwriter.Writer {
	return tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 3, ' ', 0)
}

// sweep removes containers of "run -d --rm" that have ended since.
func (a *app) sweep(ctx context.Context, s *cri.Service) error {
	ended, err := s.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{
		State:         &runtimeapi.ContainerStateValue{State: runtimeapi.ContainerState_CONTAINER_EXITED},
		LabelSelector: map[string]string{labelAutoRemove: "true"},
	}})
	if err != nil {
		return err
	}
	for _, c := range ended.GetContainers() {
		err = errors.Join(err, a.remove(ctx, s, c))
	}
	return err
}

// remove removes a container; one that was made here takes its pod and its
// logs along.
func (a *app) remove(ctx context.Context, s *cri.Service, c *runtimeapi.Container) error {
	if c.GetLabels()[labelCommand] == "" || !goodName.MatchString(c.GetMetadata().GetName()) {
		_, err := s.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: c.GetId()})
		return err
	}
	if _, err := s.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: c.GetPodSandboxId()}); err != nil {
		return err
	}
	return os.RemoveAll(a.logDir(c.GetMetadata().GetName()))
}

// goodName is what a container may be called here: the name becomes a host name,
// and that of a directory, which rm removes.
var goodName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$`)

func (a *app) logDir(name string) string { return filepath.Join(a.conf.Root, "logs", name) }

// find returns the container of this name or id; a name that several have is
// the newest one's.
func find(ctx context.Context, s *cri.Service, ref string) (*runtimeapi.Container, error) {
	all, err := s.ListContainers(ctx, &runtimeapi.ListContainersRequest{})
	if err != nil {
		return nil, err
	}
	return choose(all.GetContainers(), ref)
}

// choose finds the container that a person means. A name goes before the
// beginning of an id, for "cafe" may be both; a beginning has to be that of one
// id only.
func choose(all []*runtimeapi.Container, ref string) (*runtimeapi.Container, error) {
	var named *runtimeapi.Container
	var begin []*runtimeapi.Container
	for _, c := range all {
		switch {
		case c.GetMetadata().GetName() == ref:
			if named == nil || c.GetCreatedAt() > named.GetCreatedAt() {
				named = c
			}
		case strings.HasPrefix(c.GetId(), ref):
			begin = append(begin, c)
		}
	}
	switch {
	case ref != "" && named != nil:
		return named, nil
	case ref != "" && len(begin) == 1:
		return begin[0], nil
	case ref != "" && len(begin) > 1:
		return nil, fmt.Errorf("the ids of %d containers begin with %q: more of it is needed", len(begin), ref)
	}
	return nil, fmt.Errorf("no container has the name or id %q; `runtime ps -a` lists them", ref)
}

// message leaves out what gRPC puts around an error.
func message(err error) string {
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) {
		return s.GRPCStatus().Message()
	}
	return err.Error()
}
