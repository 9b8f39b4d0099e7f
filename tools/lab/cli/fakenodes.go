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
			model, err := m.parse()
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
				return c.FakeNodes(cmd.Context(), cluster.Spec{Step: s}, n, model)
			})
		},
	}
	cmd.Flags().IntVar(&m.zones, "zones", 3, "how many `zones` they are dealt out over")
	cmd.Flags().StringVar(&m.cpu, "cpu", "8", "processors of each, as a `quantity`")
	cmd.Flags().StringVar(&m.memory, "memory", "32Gi", "memory of each, as a `quantity`")
	cmd.Flags().IntVar(&m.pods, "pods", 110, "how many `pods` each takes")
	return cmd
}

// A nodeModel is what every fake node is to be like, as it was asked for.
type nodeModel struct {
	zones, pods int
	cpu, memory string
}

// parse says what is wrong, as the program that keeps the nodes would in its log alone.
func (m nodeModel) parse() (cluster.NodeModel, error) {
	model := cluster.NodeModel{Zones: m.zones, Pods: m.pods}
	for name, n := range map[string]int{"zones": m.zones, "pods": m.pods} {
		if n < 0 {
			return model, fmt.Errorf("--%s %d: it can't be negative", name, n)
		}
	}
	for _, f := range []struct {
		name, text string
		to         *resource.Quantity
	}{{"cpu", m.cpu, &model.CPU}, {"memory", m.memory, &model.Memory}} {
		q, err := resource.ParseQuantity(f.text)
		if err != nil || q.Sign() < 0 {
			return model, fmt.Errorf("--%s %s: not a quantity, such as 8, 500m or 16Gi", f.name, f.text)
		}
		*f.to = q
	}
	return model, nil
}
