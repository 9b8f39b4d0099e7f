package cri_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/cgroups"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"github.com/k8s-groundup/groundup/steps/00-container/cri"
	"github.com/k8s-groundup/groundup/steps/00-container/internal/runtimetest"
)

func TestContainerRunsLogsAndExits(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	pod := runtimetest.RunPod(t, s)
	id := pod.Run("hello", []string{"echo", "hello", "world"})
	st := runtimetest.Wait(t, s, id)
	if st.ExitCode != 0 || st.Reason != "Completed" {
		t.Errorf("got exit code %d, reason %q, want 0, Completed", st.ExitCode, st.Reason)
	}
	if st.CreatedAt > st.StartedAt || st.StartedAt > st.FinishedAt {
		t.Errorf("got created %d, started %d, finished %d, want them in this order", st.CreatedAt, st.StartedAt, st.FinishedAt)
	}
	if got := readLog(t, st); got != "stdout F hello world\n" {
		t.Errorf("got log %q", got)
	}
}

// readLog reads a log without its timestamps.
func readLog(t *testing.T, st *runtimeapi.ContainerStatus) string {
	t.Helper()
	data, err := os.ReadFile(st.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(data)) {
		_, rest, _ := strings.Cut(line, " ")
		out.WriteString(rest)
	}
	return out.String()
}

func TestExitCodes(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	pod := runtimetest.RunPod(t, s)
	for _, test := range []struct {
		name   string
		args   []string
		stop   bool
		code   int32
		reason string
	}{
		{"zero", []string{"exit", "0"}, false, 0, "Completed"},
		{"seven", []string{"exit", "7"}, false, 7, "Error"},
		{"obedient", []string{"pause"}, true, 0, "Completed"},
		{"stubborn", []string{"stubborn"}, true, 137, "Error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			id := pod.Run(test.name, test.args)
			if test.stop {
				waitForReady(t, s, id)
				if _, err := s.StopContainer(t.Context(), &runtimeapi.StopContainerRequest{ContainerId: id, Timeout: 1}); err != nil {
					t.Fatal(err)
				}
			}
			if st := runtimetest.Wait(t, s, id); st.ExitCode != test.code || st.Reason != test.reason {
				t.Errorf("got %d %s, want %d %s", st.ExitCode, st.Reason, test.code, test.reason)
			}
		})
	}
}

// waitForReady waits until the guest says that it has settled what SIGTERM does.
func waitForReady(t *testing.T, s *cri.Service, id string) {
	t.Helper()
	st := runtimetest.Status(t, s, id)
	runtimetest.Eventually(t, "the guest is ready", func() bool { return strings.Contains(readLog(t, st), "ready") })
}

// exec runs the guest in a container and returns its output.
func exec(t *testing.T, s *cri.Service, id string, args ...string) string {
	t.Helper()
	resp, err := s.ExecSync(t.Context(), &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: append([]string{"/bin/guest"}, args...), Timeout: 30})
	if err != nil {
		t.Fatal(err)
	}
	return string(resp.Stdout)
}

func TestStartOfAMissingProgramFailsAndTheContainerHasEnded(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	pod := runtimetest.RunPod(t, s)
	id := pod.Create("bad", nil, func(c *runtimeapi.ContainerConfig) { c.Command = []string{"/no/such/program"} })
	if _, err := s.StartContainer(t.Context(), &runtimeapi.StartContainerRequest{ContainerId: id}); err == nil {
		t.Fatal("got no error")
	}
	st := runtimetest.Status(t, s, id)
	if st.State != runtimeapi.ContainerState_CONTAINER_EXITED || st.ExitCode != 128 || st.Reason != "StartError" {
		t.Errorf("got %s, %d, %s, want CONTAINER_EXITED, 128, StartError", st.State, st.ExitCode, st.Reason)
	}
}

func TestExecSync(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	pod := runtimetest.RunPod(t, s)
	id := pod.Run("app", nil)
	if got := exec(t, s, id, "echo", "from", "exec"); got != "from exec\n" {
		t.Errorf("got %q", got)
	}
	resp, err := s.ExecSync(t.Context(), &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{"/bin/guest", "exit", "7"}})
	if err != nil || resp.ExitCode != 7 {
		t.Errorf("got exit code %d, error %v, want 7", resp.GetExitCode(), err)
	}
}

func TestExecSyncTimeoutKillsTheCommand(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	id := runtimetest.RunPod(t, s).Run("app", nil)
	_, err := s.ExecSync(t.Context(), &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{"/bin/guest", "sleep", "1000"}, Timeout: 1})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Fatalf("got %v, want DeadlineExceeded", err)
	}
	runtimetest.Eventually(t, "the command is killed", func() bool { return strings.Count(exec(t, s, id, "ps"), "\n") == 2 })
}

func TestExecWithInput(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	id := runtimetest.RunPod(t, s).Run("app", nil)
	var out bytes.Buffer
	code, err := s.ExecContainer(t.Context(), id, []string{"/bin/guest", "cat"}, cri.Streams{In: strings.NewReader("there and back"), Out: &out})
	if err != nil || code != 0 || out.String() != "there and back" {
		t.Errorf("got %q, exit code %d, error %v", out.String(), code, err)
	}
}

// A screen is where a terminal's output goes.
type screen struct {
	pr *io.PipeReader
	*io.PipeWriter
	seen []byte
}

func newScreen() *screen {
	pr, pw := io.Pipe()
	return &screen{pr: pr, PipeWriter: pw}
}

func (s *screen) expect(t *testing.T, want string) {
	t.Helper()
	buf := make([]byte, 4096)
	timer := time.AfterFunc(20*time.Second, func() { s.pr.CloseWithError(errors.New("timed out")) })
	defer timer.Stop()
	for !bytes.Contains(s.seen, []byte(want)) {
		n, err := s.pr.Read(buf)
		s.seen = append(s.seen, buf[:n]...)
		if err != nil {
			t.Fatalf("waiting for %q: %v; got %q", want, err, s.seen)
		}
	}
	_, s.seen, _ = bytes.Cut(s.seen, []byte(want))
}

func TestTerminalCanBeResized(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	pod := runtimetest.RunPod(t, s)
	app := pod.Run("app", nil)
	terminal := pod.Create("terminal", []string{"tty"}, func(c *runtimeapi.ContainerConfig) { c.Tty, c.Stdin = true, true })
	for name, run := range map[string]func(cri.Streams) error{
		"exec": func(io cri.Streams) error {
			_, err := s.ExecContainer(t.Context(), app, []string{"/bin/guest", "tty"}, io)
			return err
		},
		"attach": func(io cri.Streams) error {
			return s.AttachContainer(t.Context(), terminal, io, func() error {
				_, err := s.StartContainer(t.Context(), &runtimeapi.StartContainerRequest{ContainerId: terminal})
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, sizes := newScreen(), make(chan remotecommand.TerminalSize)
			in, keys := io.Pipe()
			done := make(chan error, 1)
			go func() {
				done <- run(cri.Streams{In: in, Out: out, TTY: true, Resize: sizes})
				out.Close()
			}()
			out.expect(t, "size ")
			sizes <- remotecommand.TerminalSize{Width: 132, Height: 43}
			out.expect(t, "size 132x43\r\n")
			go io.WriteString(keys, "quit\n")
			out.expect(t, "got quit\r\n")
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAttachInputOnce(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	id := runtimetest.RunPod(t, s).Create("cat", []string{"cat"}, func(c *runtimeapi.ContainerConfig) { c.Stdin, c.StdinOnce = true, true })
	var out bytes.Buffer
	err := s.AttachContainer(t.Context(), id, cri.Streams{In: strings.NewReader("once\n"), Out: &out}, func() error {
		_, err := s.StartContainer(t.Context(), &runtimeapi.StartContainerRequest{ContainerId: id})
		return err
	})
	if err != nil || out.String() != "once\n" {
		t.Errorf("got %q, error %v", out.String(), err)
	}
	if st := runtimetest.Wait(t, s, id); readLog(t, st) != "stdout F once\n" {
		t.Errorf("got log %q", readLog(t, st))
	}
}

func TestOutOfMemory(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	id := runtimetest.RunPod(t, s).Run("hog", []string{"fill", "256"}, func(c *runtimeapi.ContainerConfig) {
		c.Linux.Resources.MemoryLimitInBytes = 32 << 20
	})
	if st := runtimetest.Wait(t, s, id); st.ExitCode != 137 || st.Reason != "OOMKilled" {
		t.Errorf("got %d %s, want 137 OOMKilled", st.ExitCode, st.Reason)
	}
}

func TestSharedPIDNamespace(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	pod := runtimetest.RunPod(t, s, func(c *runtimeapi.PodSandboxConfig) {
		c.Linux.SecurityContext.NamespaceOptions.Pid = runtimeapi.NamespaceMode_POD
	})
	a := pod.Run("a", nil)
	pod.Run("b", nil)
	// A container has started a moment before its process is called guest.
	runtimetest.Eventually(t, "pause is 1, and both guests and ps are there", func() bool {
		got := exec(t, s, a, "ps")
		return strings.HasPrefix(got, "1 pause\n") && strings.Count(got, "guest") == 3
	})
	if _, err := s.ExecSync(t.Context(), &runtimeapi.ExecSyncRequest{ContainerId: a, Cmd: []string{"/bin/guest", "cat", "/proc/1/environ"}}); err != nil {
		t.Fatal(err)
	}
	pod.Run("orphan", []string{"orphan"})
	runtimetest.Eventually(t, "the pause process reaps orphans", func() bool { return strings.Count(exec(t, s, a, "ps"), "\n") == 4 })
}

// With RuntimeDefault the kernel filters a container's system calls (proc(5), Seccomp).
func TestRuntimeDefaultIsAFilter(t *testing.T) {
	if !runtimetest.HasSeccomp() {
		t.Skip("the shim is built without libseccomp, which is not installed (libseccomp-dev, pkg-config)")
	}
	s := runtimetest.Open(t, runtimetest.Config(t))
	pod := runtimetest.RunPod(t, s)
	for name, c := range map[string]struct {
		kind runtimeapi.SecurityProfile_ProfileType
		want string
	}{
		"filtered":   {runtimeapi.SecurityProfile_RuntimeDefault, "2"},
		"unconfined": {runtimeapi.SecurityProfile_Unconfined, "0"},
	} {
		id := pod.Run(name, nil, func(conf *runtimeapi.ContainerConfig) {
			conf.Linux.SecurityContext.Seccomp = &runtimeapi.SecurityProfile{ProfileType: c.kind}
		})
		if got := exec(t, s, id, "cat", "/proc/1/status"); !strings.Contains(got, "\nSeccomp:\t"+c.want+"\n") {
			t.Errorf("%s: got status\n%swant Seccomp: %s", name, got, c.want)
		}
	}
}

// A shim does without huge pages; what it starts must not (proc(5), THP_enabled).
func TestContainerMayHaveHugePages(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	id := runtimetest.RunPod(t, s).Run("app", nil)
	for _, process := range []string{"1", "self"} { // one by start, one by exec
		if got := exec(t, s, id, "cat", "/proc/"+process+"/status"); !strings.Contains(got, "\nTHP_enabled:\t1\n") {
			t.Errorf("process %s: got status\n%swant THP_enabled: 1", process, got)
		}
	}
}

// It learns nothing of the node's other cgroups, and can't change its own limits.
func TestContainerSeesItsCgroupAsTheRoot(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	id := runtimetest.RunPod(t, s).Run("app", nil)
	for line := range strings.Lines(exec(t, s, id, "cat", "/proc/self/cgroup")) {
		if !strings.HasSuffix(line, ":/\n") {
			t.Errorf("got %q, want a path of /", line)
		}
	}
	procs := "/sys/fs/cgroup/cgroup.procs"
	if !cgroups.IsCgroup2UnifiedMode() {
		procs = "/sys/fs/cgroup/pids/cgroup.procs"
	}
	if got := strings.Fields(exec(t, s, id, "cat", procs)); len(got) != 2 || got[0] != "1" {
		t.Errorf("got processes %v in its cgroup, want itself and cat", got)
	}
	want := " / " + filepath.Dir(procs) + " ro,nosuid,nodev,noexec"
	if got := exec(t, s, id, "cat", "/proc/self/mountinfo"); !strings.Contains(got, want) {
		t.Errorf("got mounts\n%swant one with %q", got, want)
	}
}

// As in upstream's runtimes: a pod in the node's network has the node's UTS
// namespace as well, and its name.
func TestUTSNamespaceGoesWithTheNetwork(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	before, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	node, err := os.Readlink("/proc/self/ns/uts")
	if err != nil {
		t.Fatal(err)
	}
	for mode, shared := range map[runtimeapi.NamespaceMode]bool{runtimeapi.NamespaceMode_POD: false, runtimeapi.NamespaceMode_NODE: true} {
		pod := runtimetest.RunPod(t, s, func(c *runtimeapi.PodSandboxConfig) {
			c.Linux.SecurityContext.NamespaceOptions.Network = mode
		})
		id := pod.Run("app", nil)
		if got := strings.TrimSpace(exec(t, s, id, "readlink", "/proc/self/ns/uts")); (got == node) != shared {
			t.Errorf("network %v: got UTS namespace %q, the node's is %q", mode, got, node)
		}
		if name := strings.TrimSpace(exec(t, s, id, "hostname")); (name == before) != shared {
			t.Errorf("network %v: got name %q, the node's is %q", mode, name, before)
		}
	}
	if after, err := os.Hostname(); err != nil || after != before {
		t.Errorf("the node's name became %q, %v", after, err)
	}
}

func TestUserNamespace(t *testing.T) {
	conf := runtimetest.Config(t)
	s := runtimetest.Open(t, conf)
	mapping := []*runtimeapi.IDMapping{{HostId: 200000, Length: 65536}}
	pod := runtimetest.RunPod(t, s, func(c *runtimeapi.PodSandboxConfig) {
		c.Linux.SecurityContext.NamespaceOptions.UsernsOptions = &runtimeapi.UserNamespace{Uids: mapping, Gids: mapping}
	})
	id := pod.Run("app", nil)
	if got := strings.Fields(exec(t, s, id, "cat", "/proc/self/uid_map")); strings.Join(got, " ") != "0 200000 65536" {
		t.Errorf("got uid_map %q", got)
	}
	if got := exec(t, s, id, "id"); got != "0 0 [0]\n" {
		t.Errorf("got %q, want to be root inside", got)
	}
	exec(t, s, id, "write", "/etc/made-inside", "x") // in a directory of a mapped layer
	made := filepath.Join(conf.Root, "pods", pod.ID, "containers", id, "upper/etc/made-inside")
	info, err := os.Stat(made)
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 200000 {
		t.Errorf("a file of root inside belongs to %d outside, want 200000", uid)
	}
}

func TestUsers(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	pod := runtimetest.RunPod(t, s)
	id := pod.Run("web", nil, func(c *runtimeapi.ContainerConfig) {
		c.Linux.SecurityContext.RunAsUsername = "web"
		c.Linux.SecurityContext.SupplementalGroups = []int64{3000}
	})
	if got := exec(t, s, id, "id"); got != "1000 1000 [1000 2000 3000]\n" {
		t.Errorf("got %q: an exec has the container's user and groups", got)
	}
	if u := runtimetest.Status(t, s, id).GetUser().GetLinux(); u.GetUid() != 1000 || len(u.GetSupplementalGroups()) != 3 {
		t.Errorf("got user %v", u)
	}
}

func TestUpdateResources(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	id := runtimetest.RunPod(t, s).Run("app", nil, func(c *runtimeapi.ContainerConfig) {
		c.Linux.Resources.MemoryLimitInBytes = 64 << 20
	})
	_, err := s.UpdateContainerResources(t.Context(), &runtimeapi.UpdateContainerResourcesRequest{
		ContainerId: id, Linux: &runtimeapi.LinuxContainerResources{MemoryLimitInBytes: 128 << 20, CpuShares: 512},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := runtimetest.Status(t, s, id).GetResources().GetLinux()
	if r.GetMemoryLimitInBytes() != 128<<20 || r.GetCpuShares() != 512 {
		t.Errorf("got %v", r)
	}
	stats, err := s.ContainerStats(t.Context(), &runtimeapi.ContainerStatsRequest{ContainerId: id})
	if err != nil {
		t.Fatal(err)
	}
	if got := stats.GetStats().GetMemory().GetAvailableBytes().GetValue(); got < 64<<20 || got > 128<<20 {
		t.Errorf("got %d bytes available, want between 64 and 128 MiB", got)
	}
}

func TestEverythingCanBeAskedTwice(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	pod := runtimetest.RunPod(t, s)
	id := pod.Run("app", []string{"stubborn"})
	ctx := t.Context()
	for range 2 {
		if _, err := s.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: id}); err != nil {
			t.Errorf("stop container: %v", err)
		}
	}
	for range 2 {
		if _, err := s.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: id}); err != nil {
			t.Errorf("remove container: %v", err)
		}
	}
	for range 2 {
		if _, err := s.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: pod.ID}); err != nil {
			t.Errorf("stop sandbox: %v", err)
		}
	}
	for range 2 {
		if _, err := s.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: pod.ID}); err != nil {
			t.Errorf("remove sandbox: %v", err)
		}
	}
	if _, err := s.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: pod.ID}); status.Code(err) != codes.NotFound {
		t.Errorf("status of a removed sandbox: got %v, want NotFound", err)
	}
}

func TestEvents(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	events := s.Subscribe(ctx)
	pod := runtimetest.RunPod(t, s)
	id := pod.Run("short", []string{"exit", "3"})
	for _, want := range []struct {
		id   string
		kind runtimeapi.ContainerEventType
	}{
		{pod.ID, runtimeapi.ContainerEventType_CONTAINER_CREATED_EVENT},
		{pod.ID, runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT},
		{id, runtimeapi.ContainerEventType_CONTAINER_CREATED_EVENT},
		{id, runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT},
		{id, runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT},
	} {
		select {
		case e := <-events:
			// A container that is quick may stop before it is said to have started.
			if e.ContainerId != want.id {
				t.Errorf("got %s of %s, want %s of %s", e.ContainerEventType, e.ContainerId, want.kind, want.id)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no event within 10s, want %s of %s", want.kind, want.id)
		}
	}
}
