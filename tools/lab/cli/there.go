package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/k8s-groundup/groundup/tools/lab/host"
	"github.com/k8s-groundup/groundup/tools/lab/place"
	"github.com/k8s-groundup/groundup/tools/lab/step"
	"golang.org/x/term"
)

// there is a cluster in virtual machines.
type there struct {
	place.Place
	record     place.Record
	repo, home string
}

// openThere returns the cluster that is in virtual machines, or nil when none has
// been asked for.
func openThere() (*there, error) {
	home, err := place.Home(cluster.Home())
	if err != nil {
		return nil, err
	}
	record, err := place.Read(home)
	if err != nil || record == nil {
		return nil, err
	}
	return newThere(*record, home)
}

func newThere(record place.Record, home string) (*there, error) {
	dir, err := repo()
	if err != nil {
		return nil, err
	}
	p, err := place.Open(record.On, dir, home)
	return &there{p, record, dir, home}, err
}

// A target is where `lab up` is to work: in virtual machines, on this machine
// itself, or, when both are nil, in boxes.
type target struct {
	there *there
	host  *cluster.Host
}

// chooseTarget reads --on; without it, a cluster stays where it is.
func chooseTarget(on string, here cluster.Host) (target, error) {
	have, err := openThere()
	if err != nil {
		return target{}, err
	}
	if have != nil {
		if on != "" && on != have.record.On {
			return target{}, fmt.Errorf("a cluster runs on %s: `lab down` removes it", have.record.On)
		}
		return target{there: have}, nil
	}
	state, err := open().State()
	if err != nil && !errors.Is(err, cluster.ErrNone) {
		return target{}, err
	}
	switch {
	case on == "host", on == "" && state.Host != nil:
		return hostTarget(state, here)
	case on == "", on == "local":
		return target{}, nil
	case err == nil:
		return target{}, errors.New("a cluster runs on this machine: `lab down` removes it")
	}
	home, err := place.Home(cluster.Home())
	if err != nil {
		return target{}, err
	}
	t, err := newThere(place.Record{On: on}, home)
	return target{there: t}, err
}

func hostTarget(state cluster.State, here cluster.Host) (target, error) {
	if state.Host != nil && (here.IP == "" || here.ControlPlane == "" && state.Host.ControlPlane != "") {
		return target{host: state.Host}, nil
	}
	var err error
	if here.IP == "" {
		here.IP, err = host.Address()
	}
	return target{host: &here}, err
}

// up starts the machines, and the node in each.
func (t *there) up(ctx context.Context, w io.Writer, s *step.Step, nodes int, r *reporter) error {
	if nodes == 0 {
		nodes = max(t.record.Nodes, 1)
	}
	if nodes < t.record.Nodes {
		return fmt.Errorf("%d machines run: `lab down` first, to have fewer", t.record.Nodes)
	}
	t.record.Step, t.record.Nodes = s.Number, nodes
	if err := t.record.Write(t.home); err != nil {
		return err
	}
	if err := t.prepare(ctx, r); err != nil {
		return err
	}
	machines := "1 machine"
	if nodes > 1 {
		machines = fmt.Sprintf("%d machines", nodes)
	}
	if err := r.do(machines+" by "+t.record.On, func() error { return quietly(ctx, t.Up(nodes)) }); err != nil {
		return err
	}
	return t.nodes(ctx, w, 1)
}

// prepare builds the runner of machines, where that is ours.
func (t *there) prepare(ctx context.Context, r *reporter) error {
	if _, err := exec.LookPath("go"); err != nil || t.record.On != "qemu" {
		return nil // it is there, or its absence will be said
	}
	return r.do("build the runner of machines", func() error {
		return run(ctx, t.repo, []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-o", "bin/vm/", "./vms/cmd/vm")
	})
}

func (t *there) down(r *reporter) error {
	if err := r.do("remove the machines by "+t.record.On, func() error { return quietly(context.Background(), t.Down()) }); err != nil {
		return err
	}
	if err := os.Remove(t.kubeconfigFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return place.Forget(t.home)
}

// lab runs this program in machine n.
func (t *there) lab(ctx context.Context, n int, args ...string) error {
	terminal := term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))
	cmd := t.Command(n, terminal, append([]string{"bin/lab"}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return exitOf(attend(ctx, cmd))
}

// attend runs a command that gets Ctrl-C from the terminal as we do: it decides
// what becomes of it, and we wait. A signal for us alone is passed on.
func attend(ctx context.Context, cmd *exec.Cmd) error {
	return pass(ctx, cmd, func(s syscall.Signal) { _ = cmd.Process.Signal(s) }, syscall.SIGTERM, syscall.SIGHUP)
}

// quietly runs a command, in a process group of its own, and shows what it said
// only when it failed. Any signal for us is for all of the group.
func quietly(ctx context.Context, cmd *exec.Cmd) error {
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err := pass(ctx, cmd, func(s syscall.Signal) { _ = syscall.Kill(-cmd.Process.Pid, s) }, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out.String())
	}
	return nil
}

// pass runs a command and passes signals that come to us on to it.
func pass(ctx context.Context, cmd *exec.Cmd, to func(syscall.Signal), which ...os.Signal) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, which...)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case s := <-signals:
				to(s.(syscall.Signal)) // it may have ended
			case <-ended:
				return
			}
		}
	}()
	return errors.Join(cmd.Wait(), ctx.Err())
}

// keepIfFailed keeps the logs of machine n when err says that something failed
// there, and names where.
func (t *there) keepIfFailed(n int, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	dir, kept := place.Keep(t, t.repo, n)
	if kept != nil {
		return errors.Join(err, kept)
	}
	fmt.Fprintf(os.Stderr, "lab: %v on %s; its console, journal and logs are in %s\n", err, cluster.NodeName(n), dir)
	return err
}
