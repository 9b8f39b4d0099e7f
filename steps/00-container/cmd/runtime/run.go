package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/cri"
	"github.com/k8s-groundup/groundup/steps/00-container/image"
	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

func (a *app) run() *cobra.Command {
	var o runOptions
	var detach, remove bool
	c := &cobra.Command{
		Use:   "run IMAGE [COMMAND...]",
		Short: "Run a container, in a pod of its own",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if o.name == "" {
				o.name = "c-" + state.NewID()[:8]
			}
			if !goodName.MatchString(o.name) {
				return fmt.Errorf("--name %q: want letters, digits, dots, dashes and underscores, at most 63, beginning with a letter or digit", o.name)
			}
			s, err := a.open(c.Context())
			if err != nil {
				return err
			}
			defer s.Close()
			if err := a.pullMissing(c.Context(), args[0]); err != nil {
				return err
			}
			return a.runContainer(c, s, o, args, detach, remove)
		},
	}
	o.addFlags(c.Flags())
	c.Flags().BoolVarP(&detach, "detach", "d", false, "print the id and leave it running")
	c.Flags().BoolVar(&remove, "rm", false, "remove it when it has ended")
	return c
}

func (a *app) pullMissing(ctx context.Context, ref string) error {
	store, err := a.store()
	if err != nil {
		return err
	}
	if _, err = store.Resolve(ref); errors.Is(err, image.ErrNotFound) {
		_, err = store.Pull(ctx, ref, image.PullOptions{Progress: progress(os.Stderr)})
	}
	return err
}

// runContainer runs the pod and the container. When it can't be started,
// nothing of it stays.
func (a *app) runContainer(c *cobra.Command, s *cri.Service, o runOptions, args []string, detach, remove bool) (err error) {
	ctx := context.WithoutCancel(c.Context()) // Ctrl-C stops the container, not the making of it
	pod, err := o.pod(a.logDir(o.name))
	if err != nil {
		return err
	}
	config, err := o.container(args[0], args[1:], pod.GetLinux().GetSecurityContext().GetNamespaceOptions())
	if err != nil {
		return err
	}
	if remove {
		config.Labels[labelAutoRemove] = "true"
	}
	sandbox, err := s.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: pod})
	if status.Code(err) == codes.AlreadyExists {
		return fmt.Errorf("--name %s: there is a container of that name; `runtime rm -f %[1]s` removes it", o.name)
	}
	if err != nil {
		return err
	}
	started := false
	defer func() {
		if remove && !detach || !started {
			err = errors.Join(err, a.removePod(ctx, s, sandbox.GetPodSandboxId(), o.name))
		}
	}()
	created, err := s.CreateContainer(ctx, &runtimeapi.CreateContainerRequest{PodSandboxId: sandbox.GetPodSandboxId(), Config: config, SandboxConfig: pod})
	if err != nil {
		return err
	}
	id := created.GetContainerId()
	start := func() error {
		_, err := s.StartContainer(ctx, &runtimeapi.StartContainerRequest{ContainerId: id})
		started = err == nil
		return err
	}
	if detach {
		fmt.Fprintln(c.OutOrStdout(), id)
		return start()
	}
	return foreground(c.Context(), s, id, o.tty, o.stdin, start)
}

func (a *app) removePod(ctx context.Context, s *cri.Service, id, name string) error {
	_, err := s.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: id})
	return errors.Join(err, os.RemoveAll(a.logDir(name)))
}

// foreground stays with a container until it has ended, and returns its exit
// code as an error. A signal to us stops it.
func foreground(ctx context.Context, s *cri.Service, id string, tty, stdin bool, start func() error) error {
	background := context.WithoutCancel(ctx)
	stop := context.AfterFunc(ctx, func() {
		s.StopContainer(background, &runtimeapi.StopContainerRequest{ContainerId: id, Timeout: 10})
	})
	defer stop()
	streams, restore, err := terminal(background, tty, stdin)
	if err != nil {
		return err
	}
	err = s.AttachContainer(background, id, streams, start)
	restore()
	if err != nil {
		return err
	}
	code, err := waitExit(background, s, id)
	if err == nil && code != 0 {
		err = exitError(code)
	}
	return err
}

func (a *app) spec() *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "spec IMAGE|CONTAINER [COMMAND...]",
		Short: "Print the OCI runtime spec that run would use, or that a container has",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := a.open(c.Context())
			if err != nil {
				return err
			}
			defer s.Close()
			out := json.NewEncoder(c.OutOrStdout())
			out.SetIndent("", "  ")
			if found, err := find(c.Context(), s, args[0]); err == nil {
				spec, err := s.ContainerSpec(found.GetId())
				if err != nil {
					return err
				}
				return out.Encode(spec)
			}
			pod, err := o.pod("")
			if err != nil {
				return err
			}
			config, err := o.container(args[0], args[1:], pod.GetLinux().GetSecurityContext().GetNamespaceOptions())
			if err != nil {
				return err
			}
			spec, err := s.Spec(c.Context(), config)
			if err != nil {
				return err
			}
			return out.Encode(spec)
		},
	}
	o.addFlags(c.Flags())
	return c
}
