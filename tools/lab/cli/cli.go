// Package cli is the lab command: one file a command.
package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// An ExitCode is the error of a command that has said all there is to say: the
// program ends with it in silence.
type ExitCode int

func (e ExitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// New returns the lab command with all that is under it.
func New() *cobra.Command {
	root := &cobra.Command{
		Use:   "lab",
		Short: "Build Kubernetes from the ground up, one step at a time",
		Long: `lab starts the cluster of a step on this machine, shows it, checks it, and takes
it away without a trace.

  lab up 01        start (or change to) the cluster of step 01
  lab verify       prove, line by line, that it does what the step says
  lab read 01      the guide of the step
  lab down         remove everything`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		buildCommand(), upCommand(), downCommand(), inviteCommand(), addressCommand(), listCommand(), readCommand(), doctorCommand(), bootableCommand(),
		thereToo(statusCommand()), thereToo(verifyCommand()), thereToo(tasksCommand()), thereToo(hintCommand()), thereToo(solveCommand()),
		thereToo(podsCommand()), thereToo(getCommand()), thereToo(xrayCommand()), thereToo(shellCommand()), thereToo(logsCommand()),
		thereToo(kubeconfigCommand()), thereToo(kubectlCommand()), thereToo(etcdctlCommand()), thereToo(certsCommand()), hereOnly(swapCommand()), hereOnly(etcdCommand()), thereToo(traceCommand()), thereToo(fakeNodesCommand()), thereToo(whyCommand()),
	)
	sayUsage(root)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: `%s --help` lists the flags", err, cmd.CommandPath())
	})
	return root
}

// sayUsage makes a command, and those below it, say how it is used when its arguments
// are wrong; cobra's own error is a number.
func sayUsage(cmd *cobra.Command) {
	for _, below := range cmd.Commands() {
		sayUsage(below)
	}
	check := cmd.Args
	if check == nil {
		return
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return fmt.Errorf("%w\n     usage: %s", err, cmd.UseLine())
		}
		return nil
	}
}

// repo is the folder of the repository: of GROUNDUP_REPO, above this program, or
// above the working directory.
func repo() (string, error) {
	if r := os.Getenv("GROUNDUP_REPO"); r != "" {
		return r, nil
	}
	var starts []string
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	for _, dir := range starts {
		for ; dir != "/"; dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
				return dir, nil
			}
		}
	}
	return "", errors.New("cannot find the groundup repository: run lab from inside it, or set GROUNDUP_REPO")
}

// keepEnv are the variables that matter to lab when it runs as root.
var keepEnv = []string{"GROUNDUP_HOME", "GROUNDUP_REPO", "NO_COLOR", "TERM", "CI", "GROUNDUP_VM_FACTOR"}

// asRoot makes sure that the rest of the command runs as root: any other user's
// lab becomes sudo, with the same arguments and extra. The reason is shown
// before sudo asks for a password.
func asRoot(why string, extra ...string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	sudo, err := exec.LookPath("sudo")
	if err != nil {
		return fmt.Errorf("%s needs root, and there is no sudo here: run it as root", why)
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "lab: %s needs root; asking sudo\n", why)
	argv := append([]string{"sudo", "--preserve-env=" + strings.Join(keepEnv, ","), "--", exe}, os.Args[1:]...)
	return unix.Exec(sudo, append(argv, extra...), os.Environ())
}

// open returns the cluster of this machine, for reading.
func open() *cluster.Cluster { return &cluster.Cluster{Home: cluster.Home()} }

// pick returns the node that the learner named, or the first one.
func pick(c *cluster.Cluster, name string) (cluster.Node, error) {
	nodes, err := c.Nodes()
	if err != nil {
		return cluster.Node{}, err
	}
	var names []string
	for _, n := range nodes {
		if n.Name == name || name == "" {
			if !n.Running() {
				return n, fmt.Errorf("%s is powered off: `lab up` starts it", n.Name)
			}
			return n, nil
		}
		names = append(names, n.Name)
	}
	return cluster.Node{}, fmt.Errorf("there is no node %q: the nodes are %s", name, strings.Join(names, ", "))
}
