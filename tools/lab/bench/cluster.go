package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// A Lab is the lab command on a cluster of its own.
type Lab struct {
	Repo, Home string
}

func (l Lab) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(l.Repo, "bin/lab"), args...)
	cmd.Env = append(os.Environ(), "GROUNDUP_HOME="+l.Home, "GROUNDUP_REPO="+l.Repo)
	return cmd
}

func (l Lab) run(ctx context.Context, args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := l.command(ctx, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("lab %s: %w\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return out, nil
}

// UpAndDown measures a step from nothing to verified, as a learner with a warm
// build cache has it, and back to nothing.
func (l Lab) UpAndDown(ctx context.Context, step string, runs int) ([]Row, error) {
	var up, answers, verified, down []float64
	for range runs {
		start := time.Now()
		if _, err := l.run(ctx, "up", step); err != nil {
			return nil, err
		}
		up = append(up, time.Since(start).Seconds())
		if _, err := l.run(ctx, "verify", step, "--check", "web-answers"); err != nil {
			return nil, err
		}
		answers = append(answers, time.Since(start).Seconds())
		if _, err := l.run(ctx, "verify", step); err != nil {
			return nil, err
		}
		verified = append(verified, time.Since(start).Seconds())
		start = time.Now()
		if _, err := l.run(ctx, "down"); err != nil {
			return nil, err
		}
		down = append(down, time.Since(start).Seconds())
	}
	toVerified := Summarize("step-"+step+" to verified, every line", "s", verified)
	toVerified.Bound = 5
	toDown := Summarize("down", "s", down)
	toDown.Bound = 2
	toAnswer := Summarize("step-"+step+" to a web server that answers", "s", answers)
	return []Row{Summarize("up "+step, "s", up), toAnswer, toVerified, toDown}, nil
}

const podTimeout = 3 * time.Minute

// Pods measures, on a running cluster, how long it takes from n manifests
// written to n pods running, and their memory beyond the application's.
func (l Lab) Pods(ctx context.Context, n, runs int) ([]Row, error) {
	var took, memory []float64
	for range runs {
		start := time.Now()
		for i := range n {
			if err := l.write(i); err != nil {
				return nil, err
			}
		}
		if err := l.await(ctx, n); err != nil {
			return nil, err
		}
		took = append(took, 1000*time.Since(start).Seconds())
		if n > 1 {
			perPod, err := l.memory(ctx, n)
			if err != nil {
				return nil, err
			}
			memory = append(memory, perPod)
		}
		for i := range n {
			if err := os.Remove(l.manifest(i)); err != nil {
				return nil, err
			}
		}
		if err := l.await(ctx, 0); err != nil {
			return nil, err
		}
	}
	rows := []Row{Summarize(fmt.Sprintf("manifest written → running, %d pod(s)", n), "ms", took)}
	if n > 1 {
		row := Summarize("memory of a pod: shim and sandbox, PSS", "MB", memory)
		row.Bound = 3
		rows = append(rows, row)
	}
	return rows, nil
}

func (l Lab) manifest(i int) string {
	return filepath.Join(l.Home, "nodes/node-1/root/etc/kubernetes/manifests", fmt.Sprintf("bench-%d.yaml", i))
}

func (l Lab) write(i int) error {
	text := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: bench-%d, labels: {app: bench}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers: [{name: pause, image: 'groundup.local/toolbox:v1', command: [sleep, '100000']}]\n", i)
	file := l.manifest(i)
	tmp := filepath.Join(filepath.Dir(file), "."+filepath.Base(file))
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}

// await polls until n pods of ours run, and no others are known.
func (l Lab) await(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, podTimeout)
	defer cancel()
	for {
		out, err := l.run(ctx, "pods", "-o", "json")
		if err != nil {
			return err
		}
		var list corev1.PodList
		if err := json.Unmarshal(out, &list); err != nil {
			return err
		}
		known, running := 0, 0
		for _, p := range list.Items {
			if p.Labels["app"] == "bench" {
				known++
				if p.Status.Phase == corev1.PodRunning {
					running++
				}
			}
		}
		if known == n && running == n {
			return nil
		}
	}
}

// memory sums the proportional set size of the shims and pause processes of the
// node and divides it by the pods, web among them; in MB.
func (l Lab) memory(ctx context.Context, n int) (float64, error) {
	const script = `for p in /proc/[0-9]*; do
		case $(tr '\0' ' ' <$p/cmdline 2>/dev/null) in *runtime-shim*|*pause*) cat $p/smaps_rollup 2>/dev/null ;; esac
	done`
	out, err := l.run(ctx, "shell", "node-1", "--", "sh", "-c", script)
	if err != nil {
		return 0, err
	}
	total := 0.0
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) == 3 && f[0] == "Pss:" {
			kb, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				return 0, err
			}
			total += kb
		}
	}
	if total == 0 {
		return 0, fmt.Errorf("found no shim in the node")
	}
	return total / 1024 / float64(n+1), lines.Err()
}

// StaticPods measures pods on a cluster that it starts and removes.
func (l Lab) StaticPods(ctx context.Context, runs int) (rows []Row, err error) {
	if _, err := l.run(ctx, "up", "01"); err != nil {
		return nil, err
	}
	defer func() {
		_, downErr := l.run(context.WithoutCancel(ctx), "down")
		err = errors.Join(err, downErr)
	}()
	for _, c := range []struct{ pods, runs int }{{1, runs}, {100, min(runs, 3)}} {
		more, err := l.Pods(ctx, c.pods, c.runs)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}
