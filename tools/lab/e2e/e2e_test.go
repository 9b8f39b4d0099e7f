// Package e2e starts every step on this machine's kernel as a learner does, with
// the lab command, and holds it to what the labs promise.
package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/box"
	"github.com/k8s-groundup/groundup/tools/lab/check"
	"github.com/k8s-groundup/groundup/tools/lab/cluster"
	"github.com/k8s-groundup/groundup/tools/lab/step"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

var (
	enabled = flag.Bool("e2e", false, "start real clusters (make steps)")
	rounds  = flag.Int("rounds", 3, "how often to go up and down in the leak test")
)

// The first thread of the process stays with the main goroutine, so that no test
// runs on it: what a test does to its thread must end with the test.
func init() { runtime.LockOSThread() }

// A learner types lab commands on a machine with a network of its own.
type learner struct {
	*testing.T
	repo, home string
}

// onOwnNetwork runs work as a learner whose "machine" is a fresh network
// namespace, so that no interface or rule is made in the real one.
func onOwnNetwork(t *testing.T, work func(l learner)) {
	t.Helper()
	if !*enabled {
		t.Skip("starts real clusters: run it by `make steps`, which `make test` does")
	}
	if os.Geteuid() != 0 {
		t.Skip("starting nodes needs root: run `sudo make steps`; CI does")
	}
	repo, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(t.TempDir(), "home")
	// The thread has changed for good and ends with the test's goroutine.
	runtime.LockOSThread()
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	l := learner{t, repo, home}
	defer func() {
		if out, err := l.try("down"); err != nil {
			l.Errorf("down at the end: %v\n%s", err, out)
		}
	}()
	work(l)
}

func (l learner) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(l.repo, "bin/lab"), args...)
	cmd.Dir = l.repo
	cmd.Env = append(os.Environ(), "GROUNDUP_HOME="+l.home, "GROUNDUP_REPO="+l.repo)
	return cmd
}

func (l learner) try(args ...string) (string, error) {
	out, err := l.command(args...).CombinedOutput()
	return string(out), err
}

func (l learner) lab(args ...string) string {
	l.Helper()
	out, err := l.try(args...)
	if err != nil {
		logs, _ := l.try("logs", "kubelet", "--tail", "60")
		l.Fatalf("lab %s: %v\n%s\nkubelet:\n%s", strings.Join(args, " "), err, out, logs)
	}
	return out
}

// verify runs the verification and returns the first check that failed.
func (l learner) verify(step string) (failed *check.Result, passed int) {
	l.Helper()
	cmd := l.command("verify", step, "--json")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	runErr := cmd.Run()
	var results []check.Result
	if err := json.Unmarshal(out.Bytes(), &results); err != nil {
		l.Fatalf("verify %s: %v, %v\n%s%s", step, runErr, err, out.String(), errs.String())
	}
	for i := range results {
		if !results[i].Passed {
			if runErr == nil {
				l.Errorf("verify ended well although %s failed", results[i].ID)
			}
			return &results[i], passed
		}
		passed++
	}
	if runErr != nil {
		l.Errorf("verify: %v although every check passed", runErr)
	}
	return nil, passed
}

func TestSteps(t *testing.T) {
	repo, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	names, err := step.List(repo)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			onOwnNetwork(t, func(l learner) {
				if i > 0 {
					l.failsBefore(name, names[i-1])
				}
				before := l.objects()
				l.lab("up", name)
				failed, passed := l.verify(name)
				if failed != nil {
					l.Fatalf("%s: %s\nsaw  %s\nhint %s", failed.ID, failed.Title, failed.Observed, failed.Hint)
				}
				t.Logf("%d checks hold", passed)
				l.upAgainChangesNothing(name)
				t.Log(strings.TrimSpace(l.lab("read", name, "--record", "--check")))
				l.tasks(name)
				if i == 0 { // a cluster that was upgraded has other objects before
					l.lab("down")
					compare(t, before, l.objects())
				}
			})
		})
	}
}

// failsBefore holds that the step's verification fails on the step before it,
// at the check that the step names.
func (l learner) failsBefore(name, earlier string) {
	l.Helper()
	s, err := loadStep(l.repo, name)
	if err != nil {
		l.Fatal(err)
	}
	l.lab("up", earlier)
	failed, _ := l.verify(name)
	if failed == nil || failed.ID != s.FailsBefore {
		l.Errorf("the verification of %s on %s: failed at %+v, want %s: it proves nothing that this step adds", name, earlier, failed, s.FailsBefore)
	}
}

func loadStep(repo, name string) (*step.Step, error) {
	n, err := step.Parse(name)
	if err != nil {
		return nil, err
	}
	return step.Load(repo, n)
}

// upAgainChangesNothing holds that up is idempotent: the same processes serve
// after it.
func (l learner) upAgainChangesNothing(name string) {
	l.Helper()
	before := l.lab("shell", "node-1", "--", "cat", "/run/groundup-init/status.json")
	l.lab("up", name)
	if after := l.lab("shell", "node-1", "--", "cat", "/run/groundup-init/status.json"); after != before {
		l.Errorf("a second up changed the services:\n%s\n%s", before, after)
	}
}

// tasks holds that every task is open before its solution and done after it.
func (l learner) tasks(name string) {
	l.Helper()
	dir := filepath.Join(l.repo, "labs", name, "tasks")
	tasks, err := check.Load(dir)
	if err != nil {
		l.Fatal(err)
	}
	out, err := l.try("tasks", "--once")
	if err == nil || strings.Contains(out, "✓") {
		l.Errorf("a task is done before anyone did it:\n%s", out)
	}
	for _, task := range tasks {
		l.lab("solve", task.ID)
		for deadline := time.Now().Add(task.Time + 30*time.Second); ; {
			out, _ := l.try("tasks", "--once")
			if strings.Contains(out, "✓ "+task.Title) {
				break
			}
			if time.Now().After(deadline) {
				hint, _ := l.try("hint", task.ID)
				l.Fatalf("task %s is open after its solution:\n%s", task.ID, hint)
			}
			<-time.After(200 * time.Millisecond)
		}
	}
}

// TestUpCanBeInterrupted ends up at random moments, as Ctrl-C and a crash do,
// and holds that down removes everything and that another up finishes the work.
func TestUpCanBeInterrupted(t *testing.T) {
	onOwnNetwork(t, func(l learner) {
		l.lab("build", "01")
		before := l.objects()
		for round := range *rounds {
			for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGKILL} {
				cmd := l.command("up", "01", "--no-build", "--nodes", "2")
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				after := time.Duration(rand.IntN(1200)) * time.Millisecond
				<-time.After(after)
				cmd.Process.Signal(sig)
				cmd.Wait()
				if round%2 == 1 {
					l.lab("up", "01", "--no-build")
				}
				l.lab("down")
				if compare(t, before, l.objects()); t.Failed() {
					t.Fatalf("after signal %v at %s", sig, after)
				}
			}
		}
	})
}

// TestNothingLeaks goes up and down and holds that the kernel has what it had.
func TestNothingLeaks(t *testing.T) {
	onOwnNetwork(t, func(l learner) {
		l.lab("build", "01")
		before := l.objects()
		for range *rounds {
			l.lab("up", "01", "--no-build")
			l.lab("down")
			if compare(t, before, l.objects()); t.Failed() {
				return
			}
		}
	})
}

// TestSecondLabWaitsItsTurn holds that two labs do not change one cluster.
func TestSecondLabWaitsItsTurn(t *testing.T) {
	onOwnNetwork(t, func(l learner) {
		l.lab("build", "01")
		cmd := exec.CommandContext(t.Context(), "flock", filepath.Join(l.home, "lock"), "cat")
		if err := os.MkdirAll(l.home, 0o755); err != nil {
			t.Fatal(err)
		}
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); ; <-time.After(10 * time.Millisecond) {
			out, err := l.try("up", "01", "--no-build")
			if err != nil && strings.Contains(out, "is locked") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("got %v, %s, want that it is locked", err, out)
			}
		}
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Fatal(fmt.Errorf("flock: %w", err))
		}
	})
}

// TestSecondClusterIsRefused holds that a cluster with another home, of which a machine
// has no room for two, leaves the first one alone.
func TestSecondClusterIsRefused(t *testing.T) {
	onOwnNetwork(t, func(l learner) {
		l.lab("up", "01")
		before := l.objects()
		other := learner{t, l.repo, l.home + "-2"}
		if out, err := other.try("up", "01", "--no-build"); err == nil || !strings.Contains(out, "GROUNDUP_HOME="+l.home+" lab down") {
			t.Errorf("a second cluster: %v\n%s\nwant that it is refused, and how to remove the first", err, out)
		}
		other.lab("down")
		compare(t, before, l.objects())
		l.lab("pods")
	})
}

// TestVerifyCleansUpWhenItsTerminalCloses holds that what a check has made goes with it.
func TestVerifyCleansUpWhenItsTerminalCloses(t *testing.T) {
	heard := make(chan os.Signal, 1) // what we hear, those whom we start do not ignore, as under nohup
	signal.Notify(heard, unix.SIGHUP)
	defer signal.Stop(heard)
	onOwnNetwork(t, func(l learner) {
		l.lab("up", "01")
		made := filepath.Join(l.home, "nodes/node-1/root/etc/kubernetes/manifests/crash.yaml")
		cmd := l.command("verify", "--check", "crash-loop")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); ; <-time.After(time.Millisecond) {
			if _, err := os.Stat(made); err == nil {
				break
			} else if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		cmd.Process.Signal(unix.SIGHUP)
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("got %v, want exit code 1:\n%s", err, &out)
		}
		if _, err := os.Stat(made); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v\n%s", made, err, &out)
		}
	})
}

// TestWhoEndsAShellEndsItsCommand holds that a signal for lab alone is passed on, and
// that the exit code tells it.
func TestWhoEndsAShellEndsItsCommand(t *testing.T) {
	onOwnNetwork(t, func(l learner) {
		l.lab("up", "01")
		cmd := l.command("shell", "node-1", "--", "sh", "-c", "echo ready; exec sleep 1000")
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
			t.Fatalf("got %q, %v, want ready", line, err)
		}
		cmd.Process.Signal(unix.SIGTERM)
		late := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		defer late.Stop()
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 128+int(unix.SIGTERM) {
			t.Errorf("got %v, want exit code 143", err)
		}
	})
}

// TestPoweredOffNodeIsTold holds that nothing is done to a node without power, and no
// process is taken for its init.
func TestPoweredOffNodeIsTold(t *testing.T) {
	onOwnNetwork(t, func(l learner) {
		l.lab("up", "03")
		node, err := (&cluster.Cluster{Home: l.home}).Node(1)
		if err != nil {
			t.Fatal(err)
		}
		if err := box.Kill(node.PID, time.Now().Add(20*time.Second)); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"etcd", "snapshot", filepath.Join(t.TempDir(), "snapshot.db")}, {"etcd", "defrag"}, {"fake-nodes", "3"}, {"swap", "kube-scheduler", "ours"},
		} {
			if out, err := l.try(args...); err == nil || !strings.Contains(out, "`lab up` starts it") {
				t.Errorf("lab %s: got %v, %s, want that the node is powered off", strings.Join(args, " "), err, out)
			}
		}
	})
}

// TestUpBringsAnImageBack holds that up repairs a node whose image somebody removed.
func TestUpBringsAnImageBack(t *testing.T) {
	onOwnNetwork(t, func(l learner) {
		const web = "groundup.local/web:v1"
		l.lab("up", "01")
		l.lab("shell", "node-1", "--", "runtime", "rmi", web)
		l.lab("up", "01", "--no-build")
		if out := l.lab("shell", "node-1", "--", "runtime", "images"); !strings.Contains(out, web) {
			t.Errorf("%s is not back:\n%s", web, out)
		}
	})
}

// TestRestore holds that data comes back from a snapshot, and that a file that is none
// takes nothing away.
func TestRestore(t *testing.T) {
	onOwnNetwork(t, func(l learner) {
		l.lab("up", "02")
		l.lab("kubectl", "create", "configmap", "before")
		dir := t.TempDir()
		none, snapshot := filepath.Join(dir, "none.db"), filepath.Join(dir, "snapshot.db")
		if err := os.WriteFile(none, []byte("no snapshot\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := l.try("etcd", "restore", none); err == nil {
			t.Errorf("it restored what is no snapshot:\n%s", out)
		}
		l.lab("kubectl", "get", "configmap", "before")
		l.lab("etcd", "snapshot", snapshot)
		l.lab("kubectl", "create", "configmap", "after")
		l.lab("etcd", "restore", snapshot)
		l.lab("kubectl", "get", "configmap", "before")
		if out, err := l.try("kubectl", "get", "configmap", "after"); err == nil || !strings.Contains(out, "NotFound") {
			t.Errorf("what is later than the snapshot: got %v, %s, want NotFound", err, out)
		}
		left, err := os.ReadDir(filepath.Join(l.home, "nodes/node-1/root/var/lib/etcd"))
		if err != nil || len(left) != 2 { // the data, and what it was before
			t.Errorf("there are %v in /var/lib/etcd, %v, want two", left, err)
		}
	})
}

// TestReadme types what the README says, and holds that it says what then
// appears.
func TestReadme(t *testing.T) {
	onOwnNetwork(t, func(l learner) {
		t.Log(strings.TrimSpace(l.lab("read", "--file", filepath.Join(l.repo, "README.md"), "--record", "--check")))
	})
}
