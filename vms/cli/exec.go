package cli

import (
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/k8s-groundup/groundup/vms/machine"
	"github.com/k8s-groundup/groundup/vms/repo"
)

func execCommand() *cobra.Command {
	var j job
	cmd := &cobra.Command{
		Use:   "exec [flags] BINARY [ARGUMENT…]",
		Short: "Run a program of this computer in a throw-away machine, for go test -exec",
		Example: `  CGO_ENABLED=0 go test -exec 'vm exec' ./network/bridge
  go test -tags=netgo,osusergo -ldflags=-extldflags=-static -exec 'vm exec' ./cri`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return j.exec(cmd, args) },
	}
	j.options.register(cmd)
	cmd.Flags().DurationVar(&j.timeout, "timeout", 10*time.Minute, "end it after this `time`, stretched as much as the machine is slower")
	// What comes after the program is the program's.
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// exec ships the repository with the program in it, and runs it in the folder
// that corresponds to this one.
func (j *job) exec(cmd *cobra.Command, args []string) error {
	r, err := repo.Find()
	if err != nil {
		return err
	}
	wd, err := os.Getwd()
	if err != nil {
		return err
	}
	conf, err := j.prepare(cmd.Context(), r, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	files, clean, err := tempDir()
	if err != nil {
		return err
	}
	defer clean()
	if err := r.Stage(files, false); err != nil {
		return err
	}
	if err := shipProgram(files, args[0]); err != nil {
		return err
	}
	conf.Files, conf.Temporary, conf.Mount, conf.Build = files, true, r.Dir, r.Build
	program := filepath.Join(r.Dir, repo.TestDir, filepath.Base(args[0]))
	w := worker{repo: r, conf: conf, timeout: j.timeout, progress: cmd.ErrOrStderr()}
	return w.do(cmd.Context(), machine.Command{
		Args: append([]string{program}, args[1:]...), Dir: wd,
		Stdin: stdin(cmd), Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr(),
	})
}

func shipProgram(files, program string) error {
	data, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(files, repo.TestDir), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(files, repo.TestDir, filepath.Base(program)), data, 0o755)
}
