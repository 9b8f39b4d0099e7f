package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/vms/machine"
	"github.com/k8s-groundup/groundup/vms/repo"
)

// A fleet is a folder of machines that stay: node-1, node-2 … on one network, each
// held by a process in the background (hold.go). Their disks survive a reboot, and
// a power cut.
type fleet struct {
	options
	dir   string
	nodes int
}

// files of a machine in its folder
const (
	diskFile    = "root.qcow2"
	consoleFile = "console.log"
	holderFile  = "holder.log"
	pidFile     = "pid"
	socketFile  = "vm.sock"
	shippedFile = "shipped.json" // the repo.Snapshot that the machine has
)

const portFile = "port" // of the network, in the fleet's folder

func (f *fleet) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.dir, "state", "", "the `folder` of the machines")
	_ = cmd.MarkFlagRequired("state") // it is defined above
}

func (f *fleet) machine(n int) string { return filepath.Join(f.dir, fmt.Sprintf("node-%d", n)) }

// machines are the folders of those that there are.
func (f *fleet) machines() ([]string, error) {
	all, err := filepath.Glob(filepath.Join(f.dir, "node-*"))
	return slices.DeleteFunc(all, func(dir string) bool {
		_, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), "node-"))
		return err != nil
	}), err
}

func startCommand() *cobra.Command {
	var f fleet
	cmd := &cobra.Command{
		Use:   "start --state DIR [flags]",
		Short: "Start machines that stay, with the repository in each",
		Long: `start boots machines node-1, node-2 … on one network, as processes of yours in the
background. What they write stays, over reboots and power cuts, until vm stop. A
machine that runs already gets the files of the repository that have changed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.start(cmd) },
	}
	f.register(cmd)
	f.options.register(cmd)
	cmd.Flags().IntVar(&f.nodes, "nodes", 1, "how many")
	return cmd
}

func (f *fleet) start(cmd *cobra.Command) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.nodes < 1 || f.nodes > 99 {
		return fmt.Errorf("--nodes %d: want 1 to 99", f.nodes)
	}
	r, err := repo.Find()
	if err != nil {
		return err
	}
	// Here, so that what goes wrong is said at once, and to who waits.
	if _, err := f.prepare(cmd.Context(), r, cmd.ErrOrStderr()); err != nil {
		return err
	}
	if f.dir, err = filepath.Abs(f.dir); err != nil {
		return err
	}
	port, err := f.port()
	if err != nil {
		return err
	}
	return f.startAll(cmd.Context(), r, port)
}

// startAll starts the machines that do not run. When it is interrupted, none of
// those stays.
func (f *fleet) startAll(ctx context.Context, r repo.Repo, port int) error {
	var started []string
	for n := 1; n <= f.nodes; n++ {
		dir := f.machine(n)
		if conn, err := dialHolder(dir); err == nil {
			conn.Close()
			if err := push(ctx, r, dir); err != nil {
				return fmt.Errorf("node-%d: %w", n, err)
			}
			continue
		}
		started = append(started, dir)
		if err := f.startOne(ctx, r, n, port); err != nil {
			err = fmt.Errorf("node-%d: %w", n, err)
			for _, dir := range started {
				if ctx.Err() != nil {
					err = errors.Join(err, stopHolder(dir))
				}
			}
			return err
		}
	}
	return nil
}

// port is that of the machines' network, chosen once.
func (f *fleet) port() (int, error) {
	path := filepath.Join(f.dir, portFile)
	if b, err := os.ReadFile(path); err == nil {
		return strconv.Atoi(strings.TrimSpace(string(b)))
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return 0, err
	}
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	return port, os.WriteFile(path, []byte(strconv.Itoa(port)), 0o644)
}

// startOne starts the holder of machine n and waits until the machine takes
// commands.
func (f *fleet) startOne(ctx context.Context, r repo.Repo, n, port int) error {
	dir := f.machine(n)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	shipped, err := r.Snapshot(nil)
	if err != nil {
		return err
	}
	holder, err := f.hold(r, n, port)
	if err != nil {
		return err
	}
	if err := awaitHolder(ctx, dir, holder); err != nil {
		// One that has not come as far as its lock is found by nobody else.
		_ = holder.Process.Kill() // it may have ended
		err = errors.Join(err, stopHolder(dir))
		if ctx.Err() != nil {
			return err
		}
		return keepConsole(r, dir, err)
	}
	return writeShipped(dir, shipped)
}

// hold starts a process that outlives this one, in a session of its own.
func (f *fleet) hold(r repo.Repo, n, port int) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(f.machine(n), holderFile))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(self, "hold", "--state", f.dir, "--node", fmt.Sprint(n), "--port", fmt.Sprint(port),
		"--memory", fmt.Sprint(f.memory), "--cpus", fmt.Sprint(f.cpus), "--accel", f.accel)
	cmd.Dir = r.Dir
	// What a holder leaves that is killed while it boots goes with the machine.
	cmd.Env = append(os.Environ(), "GROUNDUP_REPO="+r.Dir, "TMPDIR="+f.machine(n))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	return cmd, cmd.Start()
}

// awaitHolder polls until the machine takes commands or its holder has ended.
func awaitHolder(ctx context.Context, dir string, holder *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- holder.Wait() }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			said, readErr := os.ReadFile(filepath.Join(dir, holderFile))
			return errors.Join(fmt.Errorf("it did not start: %w\n%s", err, said), readErr)
		case <-tick.C:
			if conn, err := dialHolder(dir); err == nil {
				return conn.Close()
			}
		}
	}
}

// keepConsole keeps what a machine that did not start has said, and names where.
func keepConsole(r repo.Repo, dir string, err error) error {
	console, readErr := os.ReadFile(filepath.Join(dir, consoleFile))
	if readErr != nil {
		return err // it has not come so far
	}
	e := newEvidence(r, filepath.Base(dir))
	_, _ = e.console.Write(console) // a buffer takes all
	kept, keepErr := e.keep(nil)
	return errors.Join(fmt.Errorf("%w; its console is in %s", err, kept), keepErr)
}

func stopCommand() *cobra.Command {
	var f fleet
	cmd := &cobra.Command{
		Use:   "stop --state DIR",
		Short: "End machines that vm start has started, and remove all that they have written",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dirs, err := f.machines()
			if err != nil {
				return err
			}
			for _, dir := range dirs {
				if err := stopHolder(dir); err != nil {
					return err
				}
			}
			return f.remove(dirs)
		},
	}
	f.register(cmd)
	return cmd
}

// remove removes what start has written. The folder goes with it, unless it holds
// something that is not ours.
func (f *fleet) remove(machines []string) error {
	for _, path := range append(machines, filepath.Join(f.dir, portFile)) {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	if err := os.Remove(f.dir); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	return nil
}

func cutCommand() *cobra.Command {
	var f fleet
	cmd := &cobra.Command{
		Use:   "cut --state DIR NODE",
		Short: "Cut the power of a machine; vm start boots it again from its disk",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return stopHolder(filepath.Join(f.dir, args[0]))
		},
	}
	f.register(cmd)
	return cmd
}

// stopHolder kills a machine's holder, and the kernel the machine with it. It
// succeeds when there is none.
func stopHolder(dir string) error {
	pid, err := holderPid(dir)
	if err != nil || pid == 0 {
		return err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return awaitGone(dir) // its machine is about to follow it
	} else if err != nil {
		return err
	}
	defer unix.Close(fd)
	// Between the reading of the file and this line the number may have found
	// another owner; whoever holds the lock still is ours.
	if now, err := holderPid(dir); err != nil || now != pid {
		return err
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	return awaitGone(dir)
}

// killTimeout bounds how long the kernel may take to end what was killed.
const killTimeout = 20 * time.Second

// awaitGone waits until holder and qemu have let go of the machine's lock, which
// both have open.
func awaitGone(dir string) error {
	f, err := os.Open(filepath.Join(dir, pidFile))
	if err != nil {
		return err
	}
	defer f.Close()
	for deadline := time.Now().Add(killTimeout); ; <-time.After(time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s after SIGKILL a process still has %s open: see fuser %s", killTimeout, f.Name(), f.Name())
		}
	}
}

// holderPid is the process that holds the machine, 0 when none does: the lock on
// the file says whether its number means anything.
func holderPid(dir string) (int, error) {
	f, err := os.Open(filepath.Join(dir, pidFile))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	defer f.Close()
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return 0, nil
		} else if !errors.Is(err, unix.EWOULDBLOCK) {
			return 0, err
		}
		b, err := io.ReadAll(io.NewSectionReader(f, 0, 64))
		if err != nil {
			return 0, err
		}
		// Who has just locked the file writes its number next.
		if number, whole := strings.CutSuffix(string(b), "\n"); whole {
			return strconv.Atoi(number)
		}
		<-time.After(time.Millisecond)
	}
}

func writeShipped(dir string, s repo.Snapshot) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, shippedFile), b, 0o644)
}

// push brings the files that have changed since the last time into a machine.
func push(ctx context.Context, r repo.Repo, dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, shippedFile))
	if err != nil {
		return err
	}
	var before repo.Snapshot
	if err := json.Unmarshal(b, &before); err != nil {
		return fmt.Errorf("read %s: %w", filepath.Join(dir, shippedFile), err)
	}
	now, err := r.Snapshot(before)
	if err != nil {
		return err
	}
	names := now.Since(before)
	if len(names) == 0 {
		return nil
	}
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(r.Tar(pw, names)) }()
	defer pr.Close()
	var out strings.Builder
	err = enter(ctx, dir, machine.Command{Args: []string{"tar", "-x", "--unlink-first", "-C", r.Dir}, Stdin: pr, Stdout: &out, Stderr: &out})
	if err != nil {
		return fmt.Errorf("bring the repository over: %w\n%s", err, out.String())
	}
	return writeShipped(dir, now)
}
