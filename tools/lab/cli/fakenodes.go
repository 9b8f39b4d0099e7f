package cli

import (
	"fmt"
	"strconv"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"
)

func fakeNodesCommand() *cobra.Command {
	var m nodeModel
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
			model, err := m.args()
			if err != nil {
				return err
			}
			c, _, err := firstNode("writing the node's manifests")
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
			return newReporter(cmd.OutOrStdout()).do(fmt.Sprintf("%d fake nodes", n), func() error {
				return c.FakeNodes(cmd.Context(), cluster.Spec{Step: s}, n, model...)
			})
		},
	}
	cmd.Flags().IntVar(&m.zones, "zones", 3, "how many `zones` they are dealt out over")
	cmd.Flags().StringVar(&m.cpu, "cpu", "8", "processors of each, as a `quantity`")
	cmd.Flags().StringVar(&m.memory, "memory", "32Gi", "memory of each, as a `quantity`")
	cmd.Flags().IntVar(&m.pods, "pods", 110, "how many `pods` each takes")
	return cmd
}

// A nodeModel is what every fake node is like.
type nodeModel struct {
	zones, pods int
	cpu, memory string
}

// args are those of the program that keeps the nodes, which would say what is wrong with
// them in its log alone.
func (m nodeModel) args() ([]string, error) {
	for name, n := range map[string]int{"zones": m.zones, "pods": m.pods} {
		if n < 0 {
			return nil, fmt.Errorf("--%s %d: it can't be negative", name, n)
		}
	}
	for name, text := range map[string]string{"cpu": m.cpu, "memory": m.memory} {
		if q, err := resource.ParseQuantity(text); err != nil || q.Sign() < 0 {
			return nil, fmt.Errorf("--%s %s: not a quantity, such as 8, 500m or 16Gi", name, text)
		}
	}
	return []string{fmt.Sprintf("--zones=%d", m.zones), "--cpu=" + m.cpu, "--memory=" + m.memory, fmt.Sprintf("--pods=%d", m.pods)}, nil
}
