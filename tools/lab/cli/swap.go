package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/k8s-groundup/groundup/tools/lab/step"
	"github.com/spf13/cobra"
)

func swapCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "swap COMPONENT upstream|ours",
		Short: "Put upstream's component in the place of ours, on the same data, and back",
		Example: `  lab swap kube-apiserver upstream
  lab kubectl version
  lab swap kube-apiserver ours`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, dir, err := chooseStep(nil)
			if err != nil {
				return err
			}
			c, _, err := firstNode("writing the node's manifests")
			if err != nil {
				return err
			}
			r := newReporter(cmd.OutOrStdout())
			swap, err := prepareSwap(cmd, s, dir, r, args[0], args[1])
			if err != nil {
				return err
			}
			if err := c.Lock(); err != nil {
				return err
			}
			defer c.Unlock()
			c.Report = r.begin
			return c.Swap(cmd.Context(), cluster.Spec{Step: s}, swap)
		},
	}
}

// prepareSwap finds the manifest, and builds what it names.
func prepareSwap(cmd *cobra.Command, s *step.Step, repo string, r *reporter, component, whose string) (cluster.Swap, error) {
	swap := cluster.Swap{Component: component}
	folder := map[string]string{"upstream": "upstream", "ours": "manifests"}[whose]
	if folder == "" {
		return swap, fmt.Errorf("%q: say upstream or ours", whose)
	}
	file, err := s.Newest(filepath.Join(folder, component+".yaml"))
	if err != nil {
		return swap, fmt.Errorf("step %02d has no %s that can be swapped: %w", s.Number, component, err)
	}
	manifest, err := os.ReadFile(file)
	if err != nil {
		return swap, err
	}
	swap.Manifest = string(manifest)
	if whose == "ours" {
		return swap, nil
	}
	programs := s.Upstream[component]
	swap.Archives = map[string]string{}
	err = r.do("build upstream's programs (the first time takes minutes)", func() error {
		argv := append([]string{"tools/upstream/build.sh", "bin/upstream"}, programs...)
		if err := run(cmd.Context(), repo, nil, argv...); err != nil {
			return err
		}
		argv = []string{"bin/images", "component", "-o", "bin/upstream/images"}
		for _, name := range slices.Sorted(slices.Values(programs)) {
			argv = append(argv, filepath.Join("bin/upstream", name))
			swap.Archives[name] = filepath.Join(repo, "bin/upstream/images", name+".tar")
		}
		return run(cmd.Context(), repo, nil, argv...)
	})
	return swap, err
}
