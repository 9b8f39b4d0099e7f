package cli

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/spf13/cobra"
)

func etcdCommand() *cobra.Command {
	etcd := &cobra.Command{Use: "etcd", Short: "Look after the data of the API server (from step 02)"}
	etcd.AddCommand(
		etcdPart("snapshot FILE", "Write all data to a file", 1, func(_ context.Context, c *cluster.Cluster, _ cluster.Spec, args []string) (string, error) {
			return args[0], c.Snapshot(args[0])
		}),
		etcdPart("restore FILE", "Make a snapshot the data, and keep what there was beside it", 1,
			func(ctx context.Context, c *cluster.Cluster, spec cluster.Spec, args []string) (string, error) {
				kept, err := c.Restore(ctx, spec, args[0])
				return "what there was is in " + kept, err
			}),
		etcdPart("defrag", "Give back the space that nothing is in", 0, func(_ context.Context, c *cluster.Cluster, _ cluster.Spec, _ []string) (string, error) {
			return "defragmented", c.Defragment()
		}),
	)
	return etcd
}

func etcdPart(use, short string, args int, do func(context.Context, *cluster.Cluster, cluster.Spec, []string) (string, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(args),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, _, err := chooseStep(nil)
			if err != nil {
				return err
			}
			c, _, err := firstNode("reading and writing the node's data")
			if err != nil {
				return err
			}
			if err := c.Lock(); err != nil {
				return err
			}
			defer c.Unlock()
			c.Report = newReporter(cmd.ErrOrStderr()).begin
			for i := range args {
				if args[i], err = filepath.Abs(args[i]); err != nil {
					return err
				}
			}
			said, err := do(cmd.Context(), c, cluster.Spec{Step: s}, args)
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), said)
			}
			return err
		},
	}
}
