package cli

import (
	"fmt"

	"github.com/k8s-groundup/groundup/tools/lab/step"
	"github.com/spf13/cobra"
)

// completeSteps offers the steps of the repository, with their titles.
func completeSteps(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	dir, err := repo()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, err := step.List(dir)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []cobra.Completion
	for _, name := range names {
		n, err := step.Parse(name)
		if err != nil {
			continue
		}
		s, err := step.Load(dir, n)
		if err != nil {
			continue
		}
		out = append(out, cobra.CompletionWithDesc(fmt.Sprintf("%02d", n), s.Title))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeNodes offers the nodes of the running cluster.
func completeNodes(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	nodes, err := open().Nodes()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []cobra.Completion
	for _, n := range nodes {
		out = append(out, n.Name)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
