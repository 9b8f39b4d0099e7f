package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/k8s-groundup/groundup/tools/lab/doctor"
	"github.com/spf13/cobra"
)

func doctorCommand() *cobra.Command {
	var asJSON bool
	var on string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Is this machine able? Each thing it lacks with the remedy",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := repo()
			if err != nil {
				return err
			}
			findings, err := doctor.ExamineFor(on, dir, cluster.Home(), built())
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if asJSON {
				e := json.NewEncoder(w)
				e.SetIndent("", "  ")
				return e.Encode(findings)
			}
			sick := 0
			for _, f := range findings {
				mark := green.Render("✓")
				switch {
				case !f.Good() && f.Optional:
					mark = faint.Render("–")
				case !f.Good():
					mark = red.Render("✗")
					sick++
				}
				fmt.Fprintf(w, "  %s %-40s %s\n", mark, f.What, f.Found)
				if !f.Good() {
					fmt.Fprintf(w, "      %s\n", f.Remedy)
				}
			}
			if sick > 0 {
				return ExitCode(1)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&on, "on", "local", "able to run a cluster `where`: local, host, qemu, lima or vagrant")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// built says whether the programs of the last step are in bin/.
func built() bool {
	s, dir, err := chooseStep(nil)
	if err != nil {
		return false
	}
	mains, err := s.Binaries()
	if err != nil {
		return false
	}
	for name := range mains {
		if _, err := os.Stat(filepath.Join(binDir(dir, s), name)); err != nil {
			return false
		}
	}
	return true
}
