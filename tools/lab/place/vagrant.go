package place

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// vagrant runs the machines of vms/Vagrantfile; the repository is copied to
// /groundup.
type vagrant struct{ repo string }

// sh runs a script in the folder of the Vagrantfile, whose machines it counts by
// NODES; to address them all, as many as there could be.
func (v vagrant) sh(nodes int, script string) *exec.Cmd {
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = filepath.Join(v.repo, "vms")
	cmd.Env = append(os.Environ(), fmt.Sprintf("NODES=%d", nodes))
	return cmd
}

func (v vagrant) Up(n int) *exec.Cmd { return v.sh(n, "vagrant up && vagrant rsync") }

func (v vagrant) Command(n int, terminal bool, argv ...string) *exec.Cmd {
	remote := "cd /groundup && exec sudo"
	for _, arg := range slow(argv) {
		remote += " " + quote(arg)
	}
	script := fmt.Sprintf("exec vagrant ssh node-%d -c %s", n, quote(remote))
	if terminal {
		script += " -- -t"
	}
	return v.sh(max(n, 1), script)
}

// quote makes an argument one word of a shell.
func quote(arg string) string { return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'" }

// Address: the Vagrantfile gives it on the private network.
func (v vagrant) Address(n int) string { return fmt.Sprintf("192.168.56.%d", 10+n) }

func (v vagrant) Down() *exec.Cmd { return v.sh(9, "vagrant destroy --force") }

// APIServer: the Vagrantfile forwards it.
func (vagrant) APIServer() string { return "127.0.0.1:6443" }

var (
	_ Place     = vagrant{}
	_ Forwarder = vagrant{}
)
