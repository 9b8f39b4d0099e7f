package cli

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/box"
	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/k8s-groundup/groundup/tools/lab/step"
	"github.com/spf13/cobra"
)

func boxEnviron() []string { return box.Environ() }

func statusCommand() *cobra.Command {
	var pid string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Which step runs, on which nodes, and how its services are",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			c := open()
			state, err := c.State()
			if errors.Is(err, cluster.ErrNone) {
				fmt.Fprintln(cmd.OutOrStdout(), err)
				return nil
			} else if err != nil {
				return err
			}
			if err := asRoot("looking into nodes"); err != nil {
				return err
			}
			if pid != "" {
				return printServicePID(cmd.OutOrStdout(), c, pid)
			}
			dir, err := repo()
			if err != nil {
				return err
			}
			s, err := step.Load(dir, state.Step)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s\n\n", bold.Render(fmt.Sprintf("Step %02d · %s", s.Number, s.Title)))
			return printStatus(cmd.OutOrStdout(), c)
		},
	}
	cmd.Flags().StringVar(&pid, "pid", "", "print only the process id of this `service` of the first node")
	return cmd
}

func printServicePID(w io.Writer, c *cluster.Cluster, name string) error {
	node, err := pick(c, "")
	if err != nil {
		return err
	}
	services, err := node.Services()
	if err != nil {
		return err
	}
	for _, s := range services {
		if s.Name == name && s.PID != 0 {
			_, err := fmt.Fprintln(w, s.PID)
			return err
		}
	}
	return fmt.Errorf("%s runs no %s", node.Name, name)
}

func printStatus(w io.Writer, c *cluster.Cluster) error {
	nodes, err := c.Nodes()
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "NODE\tADDRESS\tSERVICE\tPID\tRESTARTS\tFOR\tLAST END")
	for _, n := range nodes {
		if !n.Running() {
			fmt.Fprintf(t, "%s\t%s\tpowered off\t\t\t\t\n", n.Name, n.IP)
			continue
		}
		services, err := n.Services()
		if err != nil {
			return fmt.Errorf("services of %s: %w", n.Name, err)
		}
		for _, s := range services {
			pid := "down"
			if s.PID != 0 {
				pid = fmt.Sprint(s.PID)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", n.Name, n.IP, s.Name, pid, s.Restarts, short(time.Since(s.Since).Truncate(time.Second)), s.Last)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	line, err := firstToEnd(c)
	if err != nil || line == "" {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s\n", line)
	return err
}
