package cri_test

import (
	"os"
	"strings"
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/internal/runtimetest"
)

func TestMain(m *testing.M) { runtimetest.Main(m) }

func TestContainerRunsLogsAndExits(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	pod := runtimetest.RunPod(t, s)
	id := pod.Run("hello", []string{"echo", "hello", "world"})
	st := runtimetest.Wait(t, s, id)
	if st.ExitCode != 0 || st.Reason != "Completed" {
		t.Errorf("got exit code %d, reason %q, want 0, Completed", st.ExitCode, st.Reason)
	}
	log, err := os.ReadFile(st.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(log), " stdout F hello world\n") {
		t.Errorf("got log %q", log)
	}
}

func TestExecSync(t *testing.T) {
	s := runtimetest.Open(t, runtimetest.Config(t))
	pod := runtimetest.RunPod(t, s)
	id := pod.Run("app", nil)
	resp, err := s.ExecSync(t.Context(), &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{"/bin/guest", "echo", "from", "exec"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(resp.Stdout); got != "from exec\n" || resp.ExitCode != 0 {
		t.Errorf("got %q, exit code %d", got, resp.ExitCode)
	}
	resp, err = s.ExecSync(t.Context(), &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{"/bin/guest", "exit", "7"}})
	if err != nil || resp.ExitCode != 7 {
		t.Errorf("got exit code %d, error %v, want 7", resp.GetExitCode(), err)
	}
}
