package runtimetest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/cri"
)

// RemoveAll removes every pod of a runtime.
func RemoveAll(t testing.TB, s *cri.Service) {
	t.Helper()
	pods, err := s.ListPodSandbox(t.Context(), &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := withoutCancel(t)
	for _, p := range pods.Items {
		if _, err := s.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: p.Id}); err != nil {
			t.Errorf("remove sandbox %s: %v", p.Id, err)
		}
	}
}

// watchLeaks compares, at the end of the test, what there is with what there was.
func watchLeaks(t testing.TB, conf cri.Config) {
	t.Cleanup(func() {
		deadline := time.Now().Add(5 * time.Second)
		for {
			left := leftovers(conf)
			if len(left) == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("left behind:\n  %s", strings.Join(left, "\n  "))
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		removeCgroups(conf.CgroupParent)
	})
}

// leftovers are mounts below the runtime's directories, processes of its shim
// binary, cgroups below its parent, and files of pods.
func leftovers(conf cri.Config) (left []string) {
	base := filepath.Dir(conf.Root)
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], base+"/") {
			left = append(left, "mount "+fields[4])
		}
	}
	cmdlines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range cmdlines {
		data, _ := os.ReadFile(path)
		if args := strings.ReplaceAll(string(data), "\x00", " "); strings.Contains(args, base+"/") {
			left = append(left, "process "+args)
		}
	}
	for _, dir := range cgroupDirs(conf.CgroupParent) {
		if _, name := filepath.Split(dir); name != filepath.Base(conf.CgroupParent) {
			left = append(left, "cgroup "+dir)
		}
	}
	for _, dir := range []string{conf.Root + "/pods", conf.State + "/pods", conf.State + "/netns", conf.State + "/locks"} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if e.Name() != "names" {
				left = append(left, "file "+filepath.Join(dir, e.Name()))
			}
		}
	}
	return left
}

// cgroupDirs are the directories of a cgroup in all hierarchies, the deepest first.
func cgroupDirs(path string) (dirs []string) {
	tops, _ := filepath.Glob("/sys/fs/cgroup/*" + path)
	tops = append(tops, "/sys/fs/cgroup"+path)
	for _, top := range tops {
		filepath.WalkDir(top, func(p string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				dirs = append(dirs, p)
			}
			return nil
		})
	}
	slices.Reverse(dirs)
	return dirs
}

func removeCgroups(path string) {
	for _, dir := range cgroupDirs(path) {
		os.Remove(dir)
	}
}
