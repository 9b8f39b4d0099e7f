// Package bench measures what a pod costs, in time and in memory. `make bench`
// at the top of the repository sets containers beside those of runc.
//
//	go test -run - -bench . ./bench
package bench_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
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
		perPod = pss(t, shimOf(t, conf.ShimPath)) / pods
		return perPod <= limit
	})
	t.Logf("PSS per pod: %.2f MB", float64(perPod)/1e6)
}

// shimOf is the program that shims run which were started of the binary.
func shimOf(t *testing.T, binary string) os.FileInfo {
	t.Helper()
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		if line, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(line), binary+"\x00pod\x00") {
			if exe, err := os.Stat(filepath.Join(filepath.Dir(path), "exe")); err == nil {
				return exe
			}
		}
	}
	t.Fatalf("no shim of %s runs", binary)
	return nil
}

// pss sums up the processes that run the shim's program: reapers, shims, and
// pause processes.
func pss(t *testing.T, binary os.FileInfo) (sum int) {
	t.Helper()
	paths, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, path := range paths {
		if exe, err := os.Stat(path); err != nil || !os.SameFile(exe, binary) {
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
