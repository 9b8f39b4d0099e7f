package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/k8s-groundup/groundup/vms/machine"
	"github.com/k8s-groundup/groundup/vms/pace"
	"github.com/k8s-groundup/groundup/vms/repo"
)

// A job is one command in one machine, or in several that are connected.
type job struct {
	options
	files   string        // a folder to ship
	mount   string        // where the machine has it: the same path, if empty
	repo    bool          // ship the repository with bin/ instead
	nodes   int           // more than one: on a network, see network.go
	timeout time.Duration // as of this computer
}

func (j *job) register(cmd *cobra.Command) {
	j.options.register(cmd)
	f := cmd.Flags()
	f.StringVar(&j.files, "disk-dir", "", "ship a copy of this `folder`; the command runs in it")
	f.StringVar(&j.mount, "at", "", "the `path` of the shipped folder in the machine; its own, if not said")
	f.BoolVar(&j.repo, "repo", false, "ship a copy of the repository and of what is built in bin/")
	f.IntVar(&j.nodes, "nodes", 1, "run it in this many machines at once, on one network: node-1 is 10.99.0.1")
	f.DurationVar(&j.timeout, "timeout", 10*time.Minute, "end it after this `time`, stretched as much as the machine is slower")
	cmd.MarkFlagsMutuallyExclusive("disk-dir", "repo")
}

func runCommand() *cobra.Command {
	var j job
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARGUMENT…]",
		Short: "Run a command as root in a throw-away machine",
		Long: `run boots a machine, runs the command in it as root, passes its output and its
exit code on, and throws the machine away with all that was written in it.`,
		Example: `  vm run -- sh -c 'uname -r; stat -fc %T /sys/fs/cgroup'
  vm run --nodes 2 -- sh -c 'ping -c1 10.99.0.$((3 - GROUNDUP_NODE))'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return j.run(cmd, args)
		},
	}
	j.register(cmd)
	return cmd
}

func (j *job) run(cmd *cobra.Command, args []string) error {
	if err := j.check(); err != nil {
		return err
	}
	r, err := repo.Find()
	if err != nil {
		return err
	}
	conf, err := j.prepare(cmd.Context(), r, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	clean, err := j.ship(r, &conf)
	if err != nil {
		return err
	}
	defer clean()
	if j.nodes > 1 {
		return j.runNodes(cmd, r, conf, args)
	}
	w := worker{repo: r, conf: conf, timeout: j.timeout, progress: cmd.ErrOrStderr()}
	return w.do(cmd.Context(), machine.Command{
		Args: args, Dir: conf.Mount, Stdin: stdin(cmd), Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr(),
	})
}

// stdin is what the command reads: nothing, when that is a terminal, because
// Ctrl-C is the only key that is meant for vm run.
func stdin(cmd *cobra.Command) io.Reader {
	in := cmd.InOrStdin()
	if f, ok := in.(*os.File); ok {
		info, err := f.Stat()
		if err != nil || info.Mode()&os.ModeCharDevice != 0 {
			return nil
		}
	}
	return in
}

// ship chooses the files of the machine. clean removes what it made for that.
func (j *job) ship(r repo.Repo, conf *machine.Config) (clean func(), err error) {
	clean = func() {}
	switch {
	case j.repo:
		if conf.Files, clean, err = tempDir(); err != nil {
			return clean, err
		}
		conf.Mount, conf.Build = r.Dir, r.Build
		conf.Temporary = j.nodes <= 1 // several machines are made of one folder
		if err := r.Stage(conf.Files, true); err != nil {
			clean()
			return nil, err
		}
	case j.files != "":
		if conf.Files, err = filepath.Abs(j.files); err != nil {
			return clean, err
		}
		conf.Mount = conf.Files
	}
	if j.mount != "" {
		conf.Mount = j.mount
	}
	return clean, nil
}

// check refuses flags that make no sense. A disk may not cover what the machine
// lives on.
func (j *job) check() error {
	at := j.mount
	if at == "" && j.files != "" {
		abs, err := filepath.Abs(j.files)
		if err != nil {
			return err
		}
		at = abs
	}
	system := []string{"/", "/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var"}
	switch {
	case at != "" && !filepath.IsAbs(at):
		return fmt.Errorf("--at %s: want an absolute path", at)
	case slices.Contains(system, filepath.Clean(at)):
		return fmt.Errorf("a disk on %s would cover the machine's own: choose another place by --at", at)
	case j.nodes < 1 || j.nodes > 99:
		return fmt.Errorf("--nodes %d: want 1 to 99", j.nodes)
	}
	return j.options.check()
}

// A worker boots a machine for one command.
type worker struct {
	repo     repo.Repo
	conf     machine.Config
	timeout  time.Duration
	progress io.Writer

	// Workers whose machines are connected wait for each other, so that none
	// calls one that is not up yet, or has gone already. Nil: it is alone.
	up, done *sync.WaitGroup
}

// do runs the command and returns its exit code as an error, after keeping what
// may explain it.
func (w worker) do(ctx context.Context, c machine.Command) error {
	e := newEvidence(w.repo, filepath.Base(c.Args[0]))
	w.conf.Console = &e.console
	c.Stdout, c.Stderr = e.also(c.Stdout), e.also(c.Stderr)
	m, err := machine.Boot(ctx, w.conf)
	meet(w.up)
	if err == nil {
		defer m.Close()
		err = runLimited(ctx, m, c, w.timeout)
	}
	err = w.explain(ctx, e, m, err)
	meet(w.done)
	return err
}

// meet waits until all workers have come here.
func meet(group *sync.WaitGroup) {
	if group != nil {
		group.Done()
		group.Wait()
	}
}

// runLimited runs a command for a time that is stretched to the machine's pace.
func runLimited(ctx context.Context, m *machine.Machine, c machine.Command, limit time.Duration) error {
	limit = pace.Stretch(limit, m.Factor())
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c.Env = append(c.Env, fmt.Sprintf("GROUNDUP_VM_FACTOR=%.1f", m.Factor()))
	code, err := m.Run(limited, c)
	if limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%s did not end within %s", c.Args[0], limit.Round(time.Second))
	}
	return exit(code, err)
}

// explain keeps the evidence of a failure and names where. An interrupted run
// has nothing to explain.
func (w worker) explain(ctx context.Context, e *evidence, m *machine.Machine, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	dir, kept := e.keep(m)
	if kept != nil {
		return fmt.Errorf("%w; and its logs could not be kept: %w", err, kept)
	}
	if isExit(err) {
		fmt.Fprintf(w.progress, "vm: %v; console, kernel log and output are in %s\n", err, dir)
		return err
	}
	return fmt.Errorf("%w; console, kernel log and output are in %s", err, dir)
}
