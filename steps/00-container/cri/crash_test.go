package cri_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/cri"
	"github.com/k8s-groundup/groundup/steps/00-container/internal/runtimetest"
	"github.com/k8s-groundup/groundup/steps/00-container/shim"
)

// managerEnv turns the test binary into a manager that runs pods until it is
// killed.
const managerEnv = "GROUNDUP_TEST_MANAGER"

type managerConfig struct{ Root, State, Shim, Cgroup, Logs string }

// manage runs pods with a container each, stops and removes every second one.
func manage(config string) {
	var m managerConfig
	if err := json.Unmarshal([]byte(config), &m); err != nil {
		panic(err)
	}
	s, err := cri.Open(cri.Config{Root: m.Root, State: m.State, ShimPath: m.Shim, CgroupParent: m.Cgroup})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	for i := 0; ; i++ {
		config := &runtimeapi.PodSandboxConfig{
			Metadata:     &runtimeapi.PodSandboxMetadata{Name: "pod", Namespace: "crash", Uid: strconv.Itoa(os.Getpid()), Attempt: uint32(i)},
			LogDirectory: m.Logs,
		}
		pod, err := s.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: config})
		if err != nil {
			panic(err)
		}
		c, err := s.CreateContainer(ctx, &runtimeapi.CreateContainerRequest{PodSandboxId: pod.PodSandboxId, SandboxConfig: config, Config: &runtimeapi.ContainerConfig{
			Metadata: &runtimeapi.ContainerMetadata{Name: "app"}, Image: &runtimeapi.ImageSpec{Image: runtimetest.Image}, LogPath: "app.log",
		}})
		if err == nil {
			_, err = s.StartContainer(ctx, &runtimeapi.StartContainerRequest{ContainerId: c.ContainerId})
		}
		if err == nil && i%2 == 1 {
			_, err = s.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: pod.PodSandboxId})
		}
		if err != nil {
			panic(err)
		}
	}
}

// A manager is killed after 0, 7, 14, … milliseconds, so that each phase of a
// pod is hit by some of them. The next one must find every pod whole or not at
// all, and be able to remove it; the leak check of the configuration sees to the rest.
func TestManagerKilledInAnyPhase(t *testing.T) {
	conf := runtimetest.Config(t)
	m, err := json.Marshal(managerConfig{conf.Root, conf.State, conf.ShimPath, conf.CgroupParent, t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for after := time.Duration(0); after < 280*time.Millisecond; after += 7 * time.Millisecond {
		cmd := osexec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), managerEnv+"="+string(m))
		cmd.Stderr = t.Output()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.NewTimer(after)
		<-timer.C
		cmd.Process.Kill()
		cmd.Wait()
		checkPods(t, conf, after)
	}
}

func checkPods(t *testing.T, conf cri.Config, after time.Duration) {
	t.Helper()
	s, err := cri.Open(conf)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	pods, err := s.ListPodSandbox(t.Context(), &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pods.Items {
		resp, err := s.PodSandboxStatus(t.Context(), &runtimeapi.PodSandboxStatusRequest{PodSandboxId: p.Id})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range resp.ContainersStatuses {
			if c.State == runtimeapi.ContainerState_CONTAINER_RUNNING && p.State == runtimeapi.PodSandboxState_SANDBOX_READY {
				checkAlive(t, s, c.Id, after)
			}
		}
	}
	runtimetest.RemoveAll(t, s)
}

// checkAlive wants an answer from a container, or its end: the manager may have
// been killed when it had just killed the container.
func checkAlive(t *testing.T, s *cri.Service, id string, after time.Duration) {
	t.Helper()
	resp, err := s.ExecSync(t.Context(), &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{"/bin/guest", "echo", "alive"}, Timeout: 30})
	if err == nil && string(resp.Stdout) == "alive\n" {
		return
	}
	t.Logf("after %s: exec in a recovered container: %v; it must be about to end", after, err)
	runtimetest.Wait(t, s, id)
}

// shimPID finds the shim of a pod.
func shimPID(t *testing.T, conf cri.Config, pod string) int {
	t.Helper()
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		data, _ := os.ReadFile(path)
		if strings.Contains(string(data), "\x00pod\x00"+filepath.Join(conf.State, "pods", pod)) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err == nil {
				return pid
			}
		}
	}
	t.Fatalf("pod %s has no shim", pod)
	return 0
}

func kill(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000); err != nil {
		t.Fatal(err)
	}
}

// Every line is in the log once, in order, although shim after shim is killed
// while the container writes.
func TestKilledShimLosesNoLine(t *testing.T) {
	conf := runtimetest.Config(t)
	s := runtimetest.Open(t, conf)
	pod := runtimetest.RunPod(t, s)
	const lines = 200_000
	id := pod.Run("count", []string{"count", strconv.Itoa(lines)})
	kills := 0
	for runtimetest.Status(t, s, id).State == runtimeapi.ContainerState_CONTAINER_RUNNING && kills < 40 {
		kill(t, shimPID(t, conf, pod.ID))
		kills++
		// Any operation on the pod brings a new shim.
		s.ReopenContainerLog(t.Context(), &runtimeapi.ReopenContainerLogRequest{ContainerId: id})
	}
	st := runtimetest.Wait(t, s, id)
	t.Logf("killed %d shims", kills)
	if st.ExitCode != 0 {
		t.Errorf("got exit code %d (%s), want 0: the reaper knows it", st.ExitCode, st.Reason)
	}
	if kills == 0 {
		t.Error("killed no shim: the container was too quick for this test")
	}
	checkLines(t, st.LogPath, lines)
}

// checkLines joins partial entries, and wants "line 0" to "line N-1".
func checkLines(t *testing.T, path string, n int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	next, line := 0, ""
	for entry := range strings.Lines(string(data)) {
		fields := strings.SplitN(strings.TrimSuffix(entry, "\n"), " ", 4)
		if len(fields) != 4 {
			t.Fatalf("torn entry %q", entry)
		}
		line += fields[3]
		if fields[2] == "P" {
			continue
		}
		if want := fmt.Sprintf("line %d", next); line != want {
			t.Fatalf("got %q, want %q", line, want)
		}
		next, line = next+1, ""
	}
	if next != n {
		t.Errorf("got %d lines, want %d", next, n)
	}
}

// A shim is killed, and the container ends while there is none. What it wrote
// and how it ended must be there all the same, and no zombie.
func TestContainerEndsWithoutAShim(t *testing.T) {
	conf := runtimetest.Config(t)
	s := runtimetest.Open(t, conf)
	pod := runtimetest.RunPod(t, s)
	id := pod.Run("app", []string{"count", "50", "10000"}) // half a second
	pid := containerPID(t, s, id)
	kill(t, shimPID(t, conf, pod.ID))
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000); n != 1 {
		t.Fatalf("the container did not end: %v", err)
	}
	again, err := cri.Open(conf) // adopts
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	st := runtimetest.Wait(t, again, id)
	if st.ExitCode != 0 || st.Reason != "Completed" {
		t.Errorf("got exit code %d, %s", st.ExitCode, st.Reason)
	}
	checkLines(t, st.LogPath, 50)
}

func containerPID(t *testing.T, s *cri.Service, id string) int {
	t.Helper()
	resp, err := s.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: id, Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	var info struct{ PID int }
	if err := json.Unmarshal([]byte(resp.Info["info"]), &info); err != nil {
		t.Fatal(err)
	}
	return info.PID
}

// A terminal outlives the shim that made it.
func TestTerminalOutlivesItsShim(t *testing.T) {
	conf := runtimetest.Config(t)
	s := runtimetest.Open(t, conf)
	pod := runtimetest.RunPod(t, s)
	id := pod.Run("tty", []string{"tty"}, func(c *runtimeapi.ContainerConfig) { c.Tty, c.Stdin = true, true })
	kill(t, shimPID(t, conf, pod.ID))
	out := newScreen()
	done := make(chan error, 1)
	go func() {
		done <- s.AttachContainer(t.Context(), id, cri.Streams{In: strings.NewReader("quit\n"), Out: out}, func() error { return nil })
		out.Close()
	}()
	out.expect(t, "got quit\r\n")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if st := runtimetest.Wait(t, s, id); st.ExitCode != 0 {
		t.Errorf("got exit code %d", st.ExitCode)
	}
}

// Without the pause process there is no pod: the containers' pipes go with it.
func TestShimAndPauseKilled(t *testing.T) {
	conf := runtimetest.Config(t)
	s := runtimetest.Open(t, conf)
	pod := runtimetest.RunPod(t, s)
	id := pod.Run("app", []string{"stubborn"})
	resp, err := s.PodSandboxStatus(t.Context(), &runtimeapi.PodSandboxStatusRequest{PodSandboxId: pod.ID, Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	var info struct{ PID int }
	if err := json.Unmarshal([]byte(resp.Info["info"]), &info); err != nil {
		t.Fatal(err)
	}
	kill(t, shimPID(t, conf, pod.ID))
	kill(t, info.PID)
	again, err := cri.Open(conf)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if st := runtimetest.Wait(t, again, id); st.ExitCode != 255 || st.Reason != "Unknown" {
		t.Errorf("got %d %s, want 255 Unknown", st.ExitCode, st.Reason)
	}
}

// A manager is killed when it has asked for a start. The next one must not find
// the container as if nobody had: a kubelet would make and start another.
func TestAStartThatIsUnderWayIsSeen(t *testing.T) {
	conf := runtimetest.Config(t)
	s := runtimetest.Open(t, conf)
	pod := runtimetest.RunPod(t, s)
	for i := range 5 {
		id := pod.Create(fmt.Sprint("c", i), nil)
		run := filepath.Join(conf.State, "pods", pod.ID)
		started := make(chan error, 1)
		go func() {
			_, err := shim.New(run).StartContainer(t.Context(), id)
			started <- err
		}()
		runtimetest.Eventually(t, "the start has begun", func() bool {
			_, err := os.Stat(filepath.Join(run, "containers", id, "rootfs"))
			return err == nil
		})
		next, err := cri.Open(conf)
		if err != nil {
			t.Fatal(err)
		}
		st, err := next.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: id})
		if err != nil || st.GetStatus().GetState() == runtimeapi.ContainerState_CONTAINER_CREATED {
			t.Errorf("got state %s, %v, want a container that runs", st.GetStatus().GetState(), err)
		}
		next.Close()
		if err := <-started; err != nil {
			t.Error(err)
		}
	}
}
