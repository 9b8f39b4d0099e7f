package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/k8s-groundup/groundup/tools/lab/step"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
)

func upCommand() *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up [STEP]",
		Short: "Start the cluster of a step, or change the running one to it",
		Long: `up builds what is not built, starts as many nodes as asked for, and returns when
they are ready. It may be called at any time: on a running cluster it changes
what is different, and after an interrupted up it finishes the work.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeSteps,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("nodes") && (o.nodes < 1 || o.nodes > cluster.MaxNodes) {
				return fmt.Errorf("--nodes %d: a cluster has at least one, and at most %d", o.nodes, cluster.MaxNodes)
			}
			return o.run(cmd, args)
		},
	}
	cmd.Flags().StringVar(&o.on, "on", "", "`where`: local (boxes on this machine), host (this machine is the node), qemu, lima or vagrant (default: where it runs, or local)")
	cmd.Flags().IntVar(&o.here.Number, "as", 1, "with --on host: which `node` of the cluster this machine is")
	cmd.Flags().StringVar(&o.here.IP, "address", "", "with --on host: the `address` of the node (default: of the interface with the default route)")
	cmd.Flags().StringVar(&o.join, "join", "", "--on host, as the node that the invitation in this `file` is for (- is standard input; see lab invite)")
	cmd.MarkFlagsMutuallyExclusive("join", "as")
	cmd.MarkFlagsMutuallyExclusive("join", "address")
	cmd.Flags().IntVar(&o.nodes, "nodes", 0, "how many `nodes` (default: as many as there are, or 1)")
	cmd.Flags().BoolVar(&o.noBuild, "no-build", false, "take the programs as they are in bin/")
	return cmd
}

type upOptions struct {
	nodes   int
	noBuild bool
	on      string
	join    string // a file with an invitation
	here    cluster.Host
}

func (o *upOptions) run(cmd *cobra.Command, args []string) error {
	var invitation *cluster.Invitation
	if o.join != "" {
		if o.on != "host" {
			return errors.New("--join is for a machine that is a node itself: --on host")
		}
		var err error
		if invitation, err = readInvitation(o.join, cmd.InOrStdin()); err != nil {
			return err
		}
		o.here = invitation.Host()
	}
	target, err := chooseTarget(o.on, o.here)
	if err != nil {
		return err
	}
	if target.there != nil && len(args) == 0 && target.there.record.Nodes > 0 {
		args = []string{fmt.Sprint(target.there.record.Step)} // chooseStep knows only what runs here
	}
	s, dir, err := chooseStep(args)
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	r := newReporter(w)
	if !o.noBuild {
		fmt.Fprintf(w, "%s\n%s\n\n", bold.Render(fmt.Sprintf("Step %02d · %s", s.Number, s.Title)), s.Proves)
		if err := buildIfPossible(cmd.Context(), dir, s, r); err != nil {
			return err
		}
	}
	if target.there != nil {
		return target.there.up(cmd.Context(), w, s, o.nodes, r)
	}
	if err := asRoot("starting nodes", "--no-build"); err != nil {
		return err
	}
	spec := specOf(dir, s, o.nodes)
	spec.Host, spec.Join = target.host, invitation
	return up(cmd.Context(), w, spec, r)
}

// buildIfPossible builds, unless there is no Go here and somebody has built
// before: an installed classroom machine.
func buildIfPossible(ctx context.Context, dir string, s *step.Step, r *reporter) error {
	if _, err := exec.LookPath("go"); err != nil {
		if _, err := os.Stat(binDir(dir, s)); err == nil {
			return nil
		}
		return fmt.Errorf("there is no go command here and step %02d is not built: install Go (https://go.dev/dl)", s.Number)
	}
	return build(ctx, dir, s, r)
}

func up(ctx context.Context, w io.Writer, spec cluster.Spec, r *reporter) error {
	c := open()
	c.Report = r.begin
	if err := c.Lock(); err != nil {
		return err
	}
	defer c.Unlock()
	if spec.Nodes == 0 {
		spec.Nodes = 1
		if state, err := c.State(); err == nil {
			spec.Nodes = state.Nodes
		}
	}
	if err := c.Up(ctx, spec); err != nil {
		return fmt.Errorf("%w\n     `lab up` again continues, `lab down` removes what there is", err)
	}
	fmt.Fprintln(w)
	s := spec.Step
	if err := showPods(ctx, w, c, s, spec.Host == nil || spec.Host.Number == 1); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s  lab verify     %s\n", faint.Render("prove it "), faint.Render("(make verify)"))
	fmt.Fprintf(w, "%s  lab read %02d\n", faint.Render("the guide"), s.Number)
	fmt.Fprintf(w, "%s  %s\n", faint.Render("the code "), s.ReadNext)
	return nil
}

// podsTimeout is how long up waits for the static pods to run before it shows
// them as they are: whether that is right is for verify to say.
var podsTimeout = cluster.Stretch(20 * time.Second)

func showPods(ctx context.Context, w io.Writer, c *cluster.Cluster, s *step.Step, first bool) error {
	if !first || !s.HasManifests() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, podsTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		pods, err := listPods(ctx, c, "")
		if err == nil && len(pods) > 0 && allReady(pods) {
			printPods(w, pods)
			fmt.Fprintf(w, "\n%s  %s\n", faint.Render("try it   "), tryIt(s, pods))
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			printPods(w, pods)
			fmt.Fprintln(w, red.Render("not every pod is ready yet; `lab verify` says what is missing"))
			return nil
		}
	}
}

// tryIt is a command that shows what is new.
func tryIt(s *step.Step, pods []corev1.Pod) string {
	if s.ControlPlane {
		return "lab kubectl get nodes,pods -A"
	}
	return fmt.Sprintf("curl http://%s:8080/", pods[0].Status.PodIP)
}

func downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Remove the cluster without a trace",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if there, err := openThere(); err != nil {
				return err
			} else if there != nil {
				return there.down(newReporter(cmd.OutOrStdout()))
			}
			if err := asRoot("removing nodes"); err != nil {
				return err
			}
			c := open()
			c.Report = newReporter(cmd.OutOrStdout()).begin
			if err := c.Lock(); err != nil {
				return err
			}
			defer c.Unlock()
			return c.Down()
		},
	}
}
