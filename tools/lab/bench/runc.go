package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// starter starts containers one way or another. Start returns when the
// container's process runs; Remove ends it and is not measured. No two calls
// for the same lane are made at once.
type starter interface {
	Start(ctx context.Context, lane int, id string) error
	Remove(ctx context.Context, lane int, id string) error
}

// together starts perLane containers in each of width lanes at once, and returns
// the milliseconds that each took of the whole.
func together(ctx context.Context, s starter, prefix string, perLane, width int) (float64, error) {
	inLanes := func(do func(lane int, id string) error) error {
		var lanes errgroup.Group
		for lane := range width {
			lanes.Go(func() error {
				for i := range perLane {
					if err := do(lane, fmt.Sprintf("%s-%d-%d", prefix, lane, i)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return lanes.Wait()
	}
	start := time.Now()
	err := inLanes(func(lane int, id string) error { return s.Start(ctx, lane, id) })
	took := time.Since(start)
	// Also those that a failure or Ctrl-C left unstarted: removing them succeeds.
	err = errors.Join(err, inLanes(func(lane int, id string) error { return s.Remove(context.WithoutCancel(ctx), lane, id) }))
	return float64(took.Microseconds()) / 1000 / float64(perLane*width), err
}

// runc starts containers by Debian's runc, from one prepared bundle: with new
// namespaces, as `runc run` does by default, or in the network, IPC and UTS
// namespaces of a process of ours, as a container of a pod is.
type runc struct {
	dir     string
	sandbox *exec.Cmd // nil for new namespaces
}

func newRunc(dir, rootfs string, argv []string, join bool) (*runc, error) {
	if _, err := exec.LookPath("runc"); err != nil {
		return nil, fmt.Errorf("the peer is missing: `tools/deps.sh bench` installs runc")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	r := &runc{dir: dir}
	if join {
		r.sandbox = exec.Command("sleep", "100000")
		r.sandbox.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS}
		if err := r.sandbox.Start(); err != nil {
			return nil, err
		}
	}
	if err := r.bundle(rootfs, argv); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// bundle writes runc's own default specification with our program in it.
func (r *runc) bundle(rootfs string, argv []string) error {
	cmd := exec.Command("runc", "spec")
	cmd.Dir = r.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("runc spec: %w\n%s", err, out)
	}
	file := filepath.Join(r.dir, "config.json")
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var spec map[string]any
	if err := json.Unmarshal(b, &spec); err != nil {
		return err
	}
	process := spec["process"].(map[string]any)
	process["args"], process["terminal"] = argv, false
	delete(process, "rlimits") // this machine may not be allowed to raise them
	spec["root"] = map[string]any{"path": rootfs, "readonly": true}
	if r.sandbox != nil {
		ns := func(kind string) string { return fmt.Sprintf("/proc/%d/ns/%s", r.sandbox.Process.Pid, kind) }
		spec["linux"].(map[string]any)["namespaces"] = []map[string]string{
			{"type": "pid"}, {"type": "mount"},
			{"type": "network", "path": ns("net")}, {"type": "ipc", "path": ns("ipc")}, {"type": "uts", "path": ns("uts")},
		}
		delete(spec, "hostname") // the namespace is not its own
	}
	if b, err = json.Marshal(spec); err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o644)
}

func (r *runc) Start(ctx context.Context, _ int, id string) error {
	return r.run(ctx, "run", "-d", "--bundle", r.dir, id)
}

func (r *runc) Remove(ctx context.Context, _ int, id string) error {
	return r.run(ctx, "delete", "-f", id)
}

func (r *runc) run(ctx context.Context, args ...string) error {
	// The container's process inherits the standard streams, so no pipe of ours
	// may be among them: it would never end.
	log := filepath.Join(r.dir, "log-"+args[len(args)-1])
	cmd := exec.CommandContext(ctx, "runc", append([]string{"--root", filepath.Join(r.dir, "state"), "--log", log}, args...)...)
	if err := cmd.Run(); err != nil {
		b, _ := os.ReadFile(log)
		return fmt.Errorf("runc %v: %w\n%s", args, err, bytes.TrimSpace(b))
	}
	return nil
}

func (r *runc) Close() {
	if r.sandbox != nil {
		r.sandbox.Process.Kill()
		r.sandbox.Wait()
	}
}
