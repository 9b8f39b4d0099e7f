// Package bench measures what a container costs: in time, beside Debian's
// runc, and in memory. Ratios within one run are what counts; machines differ.
//
//	go test -run - -bench . ./bench
package bench_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/cri"
	"github.com/k8s-groundup/groundup/steps/00-container/internal/runtimetest"
)

func TestMain(m *testing.M) { runtimetest.Main(m) }

// atOnce are the two ways to start containers: one by one, and eight at a time.
var atOnce = []int{1, 8}

// A container in a pod that runs (CreateContainer and StartContainer), and the
// same program by `runc run --detach`: in turns, because a busy machine is not
// equally busy all the time. The result is the ratio of the medians, and that of
// the best times, which other load disturbs least.
func BenchmarkContainerBesideRunc(b *testing.B) {
	runtimetest.NeedRoot(b)
	path, err := exec.LookPath("runc")
	if err != nil {
		b.Skip("runc is not installed: apt-get install runc")
	}
	for _, n := range atOnce {
		b.Run(fmt.Sprintf("at-once=%d", n), func(b *testing.B) {
			s := runtimetest.Open(b, runtimetest.Config(b))
			var pods []*runtimetest.Pod
			for range n {
				pods = append(pods, runtimetest.RunPod(b, s))
			}
			runc := newRunc(b, path)
			var ours, theirs []time.Duration
			for i := range b.N {
				ours = append(ours, batch(n, func(w int) { start(b, s, pods[w], fmt.Sprint(i)) }))
				theirs = append(theirs, batch(n, func(w int) { runc.run(b, i*n+w) }))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(ours).Seconds()*1000, "ms")
			b.ReportMetric(median(theirs).Seconds()*1000, "runc-ms")
			b.ReportMetric(median(ours).Seconds()/median(theirs).Seconds(), "ratio")
			b.ReportMetric(slices.Min(ours).Seconds()/slices.Min(theirs).Seconds(), "best-ratio")
		})
	}
}

// batch calls f n times at once and returns the time for all.
func batch(n int, f func(worker int)) time.Duration {
	begin := time.Now()
	workers(n, n, func(_, i int) { f(i - 1) })
	return time.Since(begin)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// A pod and a container in it.
func BenchmarkPod(b *testing.B) {
	for _, n := range atOnce {
		b.Run(fmt.Sprintf("at-once=%d", n), func(b *testing.B) {
			s := runtimetest.Open(b, runtimetest.Config(b))
			workers(n, b.N, func(_, _ int) { start(b, s, runtimetest.RunPod(b, s), "app") })
		})
	}
}

func start(b testing.TB, s *cri.Service, pod *runtimetest.Pod, name string) {
	id := pod.Create(name, nil)
	if _, err := s.StartContainer(b.Context(), &runtimeapi.StartContainerRequest{ContainerId: id}); err != nil {
		b.Error(err)
	}
}

type runcBundle struct{ runc, root, bundle string }

func newRunc(b *testing.B, runc string) runcBundle {
	dir := b.TempDir()
	r := runcBundle{runc, filepath.Join(dir, "state"), filepath.Join(dir, "bundle")}
	guest, err := os.ReadFile(filepath.Join(runtimetest.Binaries(b), "guest"))
	if err == nil {
		err = os.MkdirAll(filepath.Join(r.bundle, "rootfs/bin"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(r.bundle, "rootfs/bin/guest"), guest, 0o755)
	}
	if err == nil {
		err = r.writeSpec()
	}
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func (r runcBundle) writeSpec() error {
	if out, err := exec.Command(r.runc, "spec", "--bundle", r.bundle).CombinedOutput(); err != nil {
		return fmt.Errorf("runc spec: %w: %s", err, out)
	}
	path := filepath.Join(r.bundle, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	spec := strings.NewReplacer(`"sh"`, `"/bin/guest", "pause"`, `"terminal": true`, `"terminal": false`).Replace(string(data))
	// As our own containers, it may not ask for more files than we have.
	from, to := strings.Index(spec, `"rlimits"`), strings.Index(spec, `"noNewPrivileges"`)
	if from > 0 && to > from {
		spec = spec[:from] + spec[to:]
	}
	return os.WriteFile(path, []byte(spec), 0o600)
}

func (r runcBundle) run(b *testing.B, i int) {
	id := fmt.Sprintf("groundup-bench-%d-%d", os.Getpid(), i)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		b.Error(err)
		return
	}
	defer null.Close()
	cmd := exec.Command(r.runc, "--root", r.root, "run", "--detach", "--bundle", r.bundle, id)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = null, null, os.Stderr
	err = cmd.Run()
	b.Cleanup(func() { exec.Command(r.runc, "--root", r.root, "delete", "--force", id).Run() })
	if err != nil {
		b.Errorf("%s: %v", cmd, err)
	}
}

// workers calls f for 0..total-1, from n goroutines.
func workers(n, total int, f func(worker, i int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for w := range n {
		group.Go(func() {
			for i := next.Add(1); int(i) <= total; i = next.Add(1) {
				f(w, int(i))
			}
		})
	}
	group.Wait()
}

// TestMemoryPerPod wants reaper, shim and pause process to cost at most 3 MB a pod, as
// the kernel accounts shared pages (PSS), with twenty pods of one container.
func TestMemoryPerPod(t *testing.T) {
	const pods, limit = 20, 3 << 20
	conf := runtimetest.Config(t)
	s := runtimetest.Open(t, conf)
	for range pods {
		runtimetest.RunPod(t, s).Run("app", nil)
	}
	var perPod int
	runtimetest.Eventually(t, fmt.Sprintf("reaper, shim and pause process of a pod take at most %d bytes", limit), func() bool {
		time.Sleep(100 * time.Millisecond) // smaps are not cheap to read
		perPod = pss(t, conf.ShimPath) / pods
		return perPod <= limit
	})
	t.Logf("PSS per pod: %.2f MB", float64(perPod)/1e6)
}

// pss sums up the processes that run the shim's binary: reapers, shims, and
// pause processes.
func pss(t *testing.T, binary string) (sum int) {
	t.Helper()
	paths, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, path := range paths {
		if exe, err := os.Readlink(path); err != nil || exe != binary {
			continue
		}
		f, err := os.Open(filepath.Join(filepath.Dir(path), "smaps_rollup"))
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0] == "Pss:" {
				kb, err := strconv.Atoi(fields[1])
				if err != nil {
					t.Fatal(err)
				}
				sum += kb << 10
			}
		}
		f.Close()
	}
	return sum
}
