package podfiles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
)

func TestFilesOfAContainer(t *testing.T) {
	dir := t.TempDir()
	node := criconfig.Node{Name: "node-1", RootDir: dir, PodLogsDir: filepath.Join(dir, "logs")}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "1"}}
	c := &corev1.Container{Name: "web"}
	if got := NextAttempt(node, pod, "web"); got != 0 {
		t.Errorf("a container that never ran: got attempt %d, want 0", got)
	}
	f, err := Make(node, pod, c, 3, []string{"10.0.0.2"})
	if err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(f.Hosts); !strings.Contains(string(data), "10.0.0.2\tweb") {
		t.Errorf("got hosts %q", data)
	}
	if info, err := os.Stat(f.TerminationLog); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("got %v, error %v: any user must be able to write its last words", info, err)
	}
	for _, name := range []string{f.Log, f.Log + ".1", filepath.Join(filepath.Dir(f.Log), "notes")} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := NextAttempt(node, pod, "web"); got != 4 {
		t.Errorf("after 3.log: got attempt %d, want 4", got)
	}
}
