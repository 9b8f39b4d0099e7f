package cli

import (
	"fmt"
	"strconv"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"
)

func fakeNodesCommand() *cobra.Command {
	var zones, pods int
	var cpu, memory string
	cmd := &cobra.Command{
		Use:   "fake-nodes N",
		Short: "Have N nodes without machines: pods bound to them are said to run (from step 03)",
		Long: `fake-nodes makes the cluster have exactly N nodes that are nothing but objects, so
that a laptop can watch a scheduler fill thousands. Pods that are bound to them
are said to run; no process is started. 0 takes all of them away.`,
		Example: `  lab fake-nodes 100 --cpu 4 --memory 16Gi
  lab kubectl get nodes
  lab fake-nodes 0`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 0 {
				return fmt.Errorf("%q is not a number of nodes", args[0])
			}
			if zones < 0 || pods < 0 {
				return fmt.Errorf("--zones %d, --pods %d: neither can be negative", zones, pods)
			}
			for flag, value := range map[string]string{"cpu": cpu, "memory": memory} {
				if q, err := resource.ParseQuantity(value); err != nil || q.Sign() < 0 {
					return fmt.Errorf("--%s %s: not a quantity, such as 8, 500m or 16Gi", flag, value)
				}
			}
			if err := asRoot("writing the node's manifests"); err != nil {
				return err
			}
			c, err := controlPlane()
			if err != nil {
				return err
			}
			s, _, err := chooseStep(nil)
			if err != nil {
				return err
			}
			if err := c.Lock(); err != nil {
				return err
			}
			defer c.Unlock()
			model := []string{fmt.Sprint("--zones=", zones), "--cpu=" + cpu, "--memory=" + memory, fmt.Sprint("--pods=", pods)}
			return newReporter(cmd.OutOrStdout()).do(fmt.Sprintf("%d fake nodes", n), func() error {
				return c.FakeNodes(cmd.Context(), cluster.Spec{Step: s}, n, model...)
			})
		},
	}
	cmd.Flags().IntVar(&zones, "zones", 3, "how many `zones` they are dealt out over")
	cmd.Flags().StringVar(&cpu, "cpu", "8", "processors of each, as a `quantity`")
	cmd.Flags().StringVar(&memory, "memory", "32Gi", "memory of each, as a `quantity`")
	cmd.Flags().IntVar(&pods, "pods", 110, "how many `pods` each takes")
	return cmd
}
