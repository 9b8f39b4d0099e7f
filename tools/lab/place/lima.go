package place

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// lima runs machines by limactl, which mounts the repository on /groundup.
type lima struct{ repo string }

// command runs limactl, or a script that does: the installed one, or the one that
// vms/validate.sh has built.
func (l lima) command(program string, args ...string) *exec.Cmd {
	built := filepath.Join(l.repo, "bin", "vm", "lima", "bin")
	if _, err := exec.LookPath(program); err != nil && program == "limactl" {
		program = filepath.Join(built, program)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":"+built)
	return cmd
}

func (l lima) up(n int) *exec.Cmd {
	return l.command(filepath.Join(l.repo, "vms", "lima", "up.sh"), fmt.Sprint(n))
}

func (l lima) Up(n int) *exec.Cmd { return l.up(n) }

// labCopy is where up.sh puts a copy of lab, outside of the mounted repository.
const labCopy = "/usr/local/lib/groundup/lab"

// Command: limactl takes the terminal when there is one.
func (l lima) Command(n int, _ bool, argv ...string) *exec.Cmd {
	if argv[0] == "bin/lab" {
		argv = append([]string{"env", "GROUNDUP_REPO=/groundup", labCopy}, argv[1:]...)
	}
	return l.command("limactl", append([]string{"shell", "--workdir", "/groundup", fmt.Sprintf("node-%d", n), "sudo"}, slow(argv)...)...)
}

func (l lima) Address(int) string { return "" }

func (l lima) Down() *exec.Cmd { return l.up(0) }

// APIServer: groundup.yaml forwards it.
func (lima) APIServer() string { return "127.0.0.1:6443" }

var (
	_ Place     = lima{}
	_ Forwarder = lima{}
)
