package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// On a computer with nothing, each place names the programs that it lacks, and how
// to come by them.
func TestBareComputer(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, c := range []struct {
		place string
		built bool
		want  map[string]string // what is missing, and a word of the remedy
	}{
		{"qemu", false, map[string]string{emulator("amd64"): "vms/deps.sh", "qemu-img": "vms/deps.sh", "image of the machines": "mmdebstrap"}},
		{"lima", false, map[string]string{"limactl": "lima-vm.io"}},
		{"vagrant", true, map[string]string{"vagrant": "vms/deps.sh vagrant"}},
	} {
		t.Run(c.place, func(t *testing.T) {
			if c.place == "qemu" && program(emulator("amd64"), "x").Good() {
				t.Fatal("PATH is not empty: this looks at the wrong things")
			}
			findings, err := ExamineFor(c.place, t.TempDir(), t.TempDir(), c.built)
			if err != nil {
				t.Fatal(err)
			}
			remedies := map[string]string{}
			for _, f := range findings {
				if strings.HasPrefix(f.What, "qemu-system-") {
					f.What = emulator("amd64") // on whatever computer this runs
				}
				remedies[f.What] = f.Remedy
			}
			for what, remedy := range c.want {
				if !strings.Contains(remedies[what], remedy) {
					t.Errorf("%s: got remedy %q, want %q in it", what, remedies[what], remedy)
				}
			}
		})
	}
	if _, err := ExamineFor("docker", "", "", true); err == nil {
		t.Error("an unknown place: got no error")
	}
}

func TestProgramsAreFoundWhereWeBuildThem(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	repo := t.TempDir()
	bin := filepath.Join(repo, "bin", "vm", "lima", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "limactl"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if f := limactl(repo); !f.Good() || !strings.HasPrefix(f.Found, bin) {
		t.Errorf("got %+v, want the one in %s", f, bin)
	}
}

func TestEmulator(t *testing.T) {
	for arch, want := range map[string]string{"amd64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64", "riscv64": "qemu-system-riscv64"} {
		if got := emulator(arch); got != want {
			t.Errorf("%s: got %s, want %s", arch, got, want)
		}
	}
}
