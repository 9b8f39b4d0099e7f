package place

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// qemu runs bare machines by the runner of vms/, which stays in the background as
// a process of the user's until Down.
type qemu struct{ repo, state string }

func (q qemu) vm(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(q.repo, "bin", "vm", "vm"), args...)
	cmd.Dir = q.repo
	return cmd
}

func (q qemu) Up(n int) *exec.Cmd {
	return q.vm("start", "--state", q.state, "--nodes", fmt.Sprint(n))
}

// Command: vm enter takes the terminal when there is one.
func (q qemu) Command(n int, _ bool, argv ...string) *exec.Cmd {
	return q.vm(append([]string{"enter", "--state", q.state, fmt.Sprintf("node-%d", n), "--"}, argv...)...)
}

// Address: the runner gives node N this one (vms/cli/network.go).
func (q qemu) Address(n int) string { return fmt.Sprintf("10.99.0.%d", n) }

func (q qemu) Down() *exec.Cmd { return q.vm("stop", "--state", q.state) }

var _ Place = qemu{}
