package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/cri"
	"github.com/k8s-groundup/groundup/steps/00-container/crilog"
)

func (a *app) ps() *cobra.Command {
	var all, quiet bool
	c := &cobra.Command{
		Use:   "ps",
		Short: "List containers",
		Args:  cobra.NoArgs,
		RunE: a.withRuntime(func(c *cobra.Command, s *cri.Service, _ []string) error {
			req := &runtimeapi.ListContainersRequest{}
			if !all {
				req.Filter = &runtimeapi.ContainerFilter{State: &runtimeapi.ContainerStateValue{State: runtimeapi.ContainerState_CONTAINER_RUNNING}}
			}
			list, err := s.ListContainers(c.Context(), req)
			if err != nil {
				return err
			}
			w := table(c)
			if !quiet {
				fmt.Fprintln(w, "ID\tNAME\tIMAGE\tSTATE\tCREATED\tPID\tIP")
			}
			for _, k := range list.GetContainers() {
				if quiet {
					fmt.Fprintln(w, k.GetId())
					continue
				}
				line, err := row(c.Context(), s, k)
				if err != nil {
					return err
				}
				fmt.Fprintln(w, line)
			}
			return w.Flush()
		}),
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "those that do not run, too")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "ids only")
	return c
}

func row(ctx context.Context, s *cri.Service, k *runtimeapi.Container) (string, error) {
	st, err := s.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: k.GetId(), Verbose: true})
	if err != nil {
		return "", err
	}
	pod, err := s.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: k.GetPodSandboxId()})
	if err != nil {
		return "", err
	}
	state := strings.ToLower(strings.TrimPrefix(k.GetState().String(), "CONTAINER_"))
	if k.GetState() == runtimeapi.ContainerState_CONTAINER_EXITED {
		state += fmt.Sprintf(" (%d)", st.GetStatus().GetExitCode())
	}
	var more struct{ PID int }
	if err := json.Unmarshal([]byte(st.GetInfo()["info"]), &more); err != nil {
		return "", err
	}
	age := time.Since(time.Unix(0, k.GetCreatedAt())).Round(time.Second)
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s ago\t%d\t%s", k.GetId()[:12], k.GetMetadata().GetName(), k.GetImage().GetImage(),
		state, age, more.PID, pod.GetStatus().GetNetwork().GetIp()), nil
}

// each makes a command that does something to each of the containers that are
// named.
func (a *app) each(use, short string, f func(context.Context, *cri.Service, *runtimeapi.Container) error) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.MinimumNArgs(1),
		RunE: a.withRuntime(func(c *cobra.Command, s *cri.Service, refs []string) (err error) {
			for _, ref := range refs {
				k, err2 := find(c.Context(), s, ref)
				if err2 == nil {
					err2 = f(c.Context(), s, k)
				}
				err = errors.Join(err, err2)
			}
			return err
		}),
	}
}

func (a *app) stop() *cobra.Command {
	var grace int64
	c := a.each("stop CONTAINER...", "Ask containers to stop, and kill those that do not", func(ctx context.Context, s *cri.Service, k *runtimeapi.Container) error {
		_, err := s.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: k.GetId(), Timeout: grace})
		return err
	})
	c.Flags().Int64VarP(&grace, "time", "t", 10, "`SECONDS` until it is killed")
	return c
}

func (a *app) rm() *cobra.Command {
	var force bool
	c := a.each("rm CONTAINER...", "Remove containers", func(ctx context.Context, s *cri.Service, k *runtimeapi.Container) error {
		if k.GetState() == runtimeapi.ContainerState_CONTAINER_RUNNING && !force {
			return fmt.Errorf("%s is running: stop it first, or use --force", k.GetMetadata().GetName())
		}
		return a.remove(ctx, s, k)
	})
	c.Flags().BoolVarP(&force, "force", "f", false, "even if they run")
	return c
}

func (a *app) inspect() *cobra.Command {
	return a.each("inspect CONTAINER...", "Print everything about containers", func(ctx context.Context, s *cri.Service, k *runtimeapi.Container) error {
		st, err := s.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: k.GetId(), Verbose: true})
		if err != nil {
			return err
		}
		pod, err := s.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: k.GetPodSandboxId(), Verbose: true})
		if err != nil {
			return err
		}
		out := map[string]json.RawMessage{"info": json.RawMessage(st.GetInfo()["info"]), "podInfo": json.RawMessage(pod.GetInfo()["info"])}
		if out["status"], err = protojson.Marshal(st.GetStatus()); err != nil {
			return err
		}
		if out["pod"], err = protojson.Marshal(pod.GetStatus()); err != nil {
			return err
		}
		data, err := json.MarshalIndent(out, "", "  ")
		fmt.Println(string(data))
		return err
	})
}

func (a *app) logs() *cobra.Command {
	var opts crilog.Options
	var tail int64
	var since time.Duration
	c := a.each("logs CONTAINER", "Print what a container has written", func(ctx context.Context, s *cri.Service, k *runtimeapi.Container) error {
		st, err := s.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: k.GetId()})
		if err != nil {
			return err
		}
		if tail >= 0 {
			opts.TailLines = &tail
		}
		if since > 0 {
			opts.Since = time.Now().Add(-since)
		}
		opts.Ended = func() bool {
			st, err := s.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: k.GetId()})
			return err != nil || st.GetStatus().GetState() == runtimeapi.ContainerState_CONTAINER_EXITED
		}
		return crilog.Read(ctx, st.GetStatus().GetLogPath(), opts, os.Stdout, os.Stderr)
	})
	c.Flags().BoolVarP(&opts.Follow, "follow", "f", false, "wait for more until the container has ended")
	c.Flags().BoolVarP(&opts.Timestamps, "timestamps", "t", false, "with the time of each line")
	c.Flags().Int64Var(&tail, "tail", -1, "only the last `LINES`")
	c.Flags().DurationVar(&since, "since", 0, "only the last `DURATION`, such as 5m")
	return c
}

func (a *app) exec() *cobra.Command {
	var tty, stdin bool
	c := &cobra.Command{
		Use:   "exec CONTAINER COMMAND...",
		Short: "Run one more process in a container",
		Args:  cobra.MinimumNArgs(2),
		RunE: a.withRuntime(func(c *cobra.Command, s *cri.Service, args []string) error {
			k, err := find(c.Context(), s, args[0])
			if err != nil {
				return err
			}
			streams, restore, err := terminal(c.Context(), tty, stdin)
			if err != nil {
				return err
			}
			code, err := s.ExecContainer(c.Context(), k.GetId(), args[1:], streams)
			restore()
			if err == nil && code != 0 {
				err = exitError(code)
			}
			return err
		}),
	}
	c.Flags().SetInterspersed(false)
	c.Flags().BoolVarP(&tty, "tty", "t", false, "give it a terminal")
	c.Flags().BoolVarP(&stdin, "interactive", "i", false, "give it our input")
	return c
}

func (a *app) attach() *cobra.Command {
	return a.each("attach CONTAINER", "See what a container writes, and write to it", func(ctx context.Context, s *cri.Service, k *runtimeapi.Container) error {
		// Whether it has a terminal is in its spec.
		spec, err := s.ContainerSpec(k.GetId())
		if err != nil {
			return err
		}
		streams, restore, err := terminal(ctx, spec.Process.Terminal, true)
		if err != nil {
			return err
		}
		defer restore()
		err = s.AttachContainer(ctx, k.GetId(), streams, func() error { return nil })
		if ctx.Err() != nil {
			return nil // Ctrl-C detaches
		}
		return err
	})
}

func (a *app) stats() *cobra.Command {
	return &cobra.Command{
		Use:   "stats",
		Short: "Print what running containers use",
		Args:  cobra.NoArgs,
		RunE: a.withRuntime(func(c *cobra.Command, s *cri.Service, _ []string) error {
			list, err := s.ListContainerStats(c.Context(), &runtimeapi.ListContainerStatsRequest{})
			if err != nil {
				return err
			}
			w := table(c)
			fmt.Fprintln(w, "ID\tNAME\tCPU TIME\tMEMORY\tWORKING SET\tDISK")
			for _, st := range list.GetStats() {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", st.GetAttributes().GetId()[:12], st.GetAttributes().GetMetadata().GetName(),
					time.Duration(st.GetCpu().GetUsageCoreNanoSeconds().GetValue()).Round(time.Millisecond),
					size(int64(st.GetMemory().GetUsageBytes().GetValue())), size(int64(st.GetMemory().GetWorkingSetBytes().GetValue())),
					size(int64(st.GetWritableLayer().GetUsedBytes().GetValue())))
			}
			return w.Flush()
		}),
	}
}
