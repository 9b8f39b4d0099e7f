package observed

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
)

func TestTerminationMessage(t *testing.T) {
	dir := t.TempDir()
	file, log := filepath.Join(dir, "message"), filepath.Join(dir, "0.log")
	var lines strings.Builder
	for i := range 100 {
		fmt.Fprintf(&lines, "2026-01-01T00:00:00.000000000Z stdout F line %d\n", i)
	}
	lines.WriteString("2026-01-01T00:00:00.000000000Z stderr P no new\n2026-01-01T00:00:00.000000000Z stderr F line\n")
	for name, text := range map[string]string{file: "disk full", log: lines.String()} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mounts := []*runtimeapi.Mount{{ContainerPath: "/dev/termination-log", HostPath: file}}
	for _, c := range []struct {
		name   string
		info   criconfig.Info
		mounts []*runtimeapi.Mount
		exit   int32
		want   func(string) bool
	}{
		{"the file", criconfig.Info{TerminationMessagePath: "/dev/termination-log"}, mounts, 1, func(s string) bool { return s == "disk full" }},
		{"no file", criconfig.Info{TerminationMessagePath: "/other"}, mounts, 1, func(s string) bool { return s == "" }},
		{"the log", criconfig.Info{TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError}, nil, 1, func(s string) bool {
			return strings.HasSuffix(s, "line 99\nno newline\n") && !strings.Contains(s, "line 19\n")
		}},
		{"not the log of a success", criconfig.Info{TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError}, nil, 0, func(s string) bool { return s == "" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			exited := &Container{ExitCode: c.exit, LogPath: log, Info: c.info}
			if got := terminationMessage(exited, &runtimeapi.ContainerStatus{Mounts: c.mounts}); !c.want(got) {
				t.Errorf("got %q", got)
			}
		})
	}
}
