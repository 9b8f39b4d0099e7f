package place

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMachine(t *testing.T) {
	for _, c := range []struct {
		line  string
		want  int
		named bool
	}{
		{"status", 1, false},
		{"shell node-2", 2, true},
		{"shell node-2 -- ping node-3", 2, true},
		{"shell -- ping node-3", 1, false},
		{"logs kubelet --node node-3", 3, true},
		{"logs kubelet --node=node-3", 3, true},
		{"xray web-node-2 --bare", 2, true},
		{"pods web-node-12", 1, false}, // there are but three
	} {
		if got, named := Machine(strings.Fields(c.line), 3); got != c.want || named != c.named {
			t.Errorf("%s: got %d, %v, want %d, %v", c.line, got, named, c.want, c.named)
		}
	}
}

func TestRecordIsReadBack(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	if r, err := Read(home); r != nil || err != nil {
		t.Fatalf("before: got %v, %v, want nothing", r, err)
	}
	want := Record{On: "qemu", Step: 1, Nodes: 3}
	if err := want.Write(home); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(home); err != nil || *got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for range 2 {
		if err := Forget(home); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(home); !os.IsNotExist(err) {
		t.Errorf("got %v, want the home gone", err)
	}
}

// A command must be the same words there as here, however often a shell reads
// them on the way.
func TestCommandsArriveUnchanged(t *testing.T) {
	t.Setenv("GROUNDUP_VM_FACTOR", "")
	argv := []string{"sh", "-c", `echo "it's $HOME"`}
	limactl := "limactl"
	if _, err := exec.LookPath(limactl); err != nil {
		limactl = "/repo/bin/vm/lima/bin/limactl"
	}
	for _, c := range []struct {
		name string
		want []string
	}{
		{"qemu", []string{"/repo/bin/vm/vm", "enter", "--state", "/home/qemu", "node-2", "--", "sh", "-c", `echo "it's $HOME"`}},
		{"lima", []string{limactl, "shell", "--workdir", "/groundup", "node-2", "sudo", "sh", "-c", `echo "it's $HOME"`}},
		{"vagrant", []string{"sh", "-ec", `exec vagrant ssh node-2 -c 'cd /groundup && exec sudo '\''sh'\'' '\''-c'\'' '\''echo "it'\''\'\'''\''s $HOME"'\'''`}},
	} {
		p, err := Open(c.name, "/repo", "/home")
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Command(2, false, argv...).Args; !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if _, err := Open("docker", "/repo", "/home"); err == nil {
		t.Error("an unknown place: got no error")
	}
}

// answering is a place whose machine answers each question with its words.
type answering struct{ Place }

func (answering) Command(n int, _ bool, argv ...string) *exec.Cmd {
	return exec.Command("echo", append([]string{fmt.Sprint(n)}, argv...)...)
}

func TestKeep(t *testing.T) {
	repo := t.TempDir()
	for range keptFailures + 2 {
		dir, err := Keep(answering{}, repo, 3)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "kernel.log")); string(b) != "3 sh -c dmesg\n" || err != nil {
			t.Errorf("got %q, %v, want what machine 3 has said", b, err)
		}
	}
	if kept, err := filepath.Glob(filepath.Join(repo, "bin/vm/failures/*-node-3")); len(kept) > keptFailures || err != nil {
		t.Errorf("got %d folders, %v, want %d at most", len(kept), err, keptFailures)
	}
}
