package doctor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// ExamineFor looks for what running a cluster on a place needs: qemu, lima, vagrant,
// or host. repo is the repository, home the cluster's state.
func ExamineFor(place, repo, home string, built bool) ([]Finding, error) {
	switch place {
	case "local":
		return Examine(home, built), nil
	case "host":
		return append(Examine(home, built), unclaimed(home), supervisor()), nil
	case "qemu":
		return []Finding{goTool(built), compiler(built), program(emulator(runtime.GOARCH), "vms/deps.sh"), program("qemu-img", "vms/deps.sh"), image(repo), subordinate(), kvm()}, nil
	case "lima":
		return []Finding{goTool(built), compiler(built), limactl(repo), ordinary(), kvm()}, nil
	case "vagrant":
		return []Finding{goTool(built), compiler(built), program("vagrant", "vms/deps.sh vagrant"), provider(), kvm()}, nil
	}
	return nil, fmt.Errorf("--on %s: want local, host, qemu, lima or vagrant", place)
}

// emulator is the program of qemu for the machines of a computer of this kind, by
// the names of either side.
func emulator(arch string) string {
	names := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}
	if name, ok := names[arch]; ok {
		arch = name
	}
	return "qemu-system-" + arch
}

func program(name, remedy string) Finding {
	f := Finding{What: name}
	path, err := exec.LookPath(name)
	if err != nil {
		f.Remedy = remedy
		return f
	}
	f.Found = path
	return f
}

// limactl is the installed one or the one that vms/validate.sh has built.
func limactl(repo string) Finding {
	f := program("limactl", "lima-vm.io says how to install it; `make vm-validate` builds it into bin/vm/lima/bin")
	built := filepath.Join(repo, "bin", "vm", "lima", "bin", "limactl")
	if _, err := os.Stat(built); err == nil && !f.Good() {
		f.Found, f.Remedy = built, ""
	}
	return f
}

// unclaimed says whether this machine can become a node, or is ours already.
func unclaimed(home string) Finding {
	f := Finding{What: "nobody else's node", Found: "nothing of a node is here"}
	if target, err := os.Readlink("/opt/groundup"); err == nil && target == home {
		f.Found = "it is this cluster's node"
		return f
	}
	for _, path := range []string{"/opt/groundup", "/etc/kubernetes", "/var/lib/kubelet"} {
		if _, err := os.Lstat(path); err == nil {
			f.Found, f.Remedy = path, "another node is, or was, on this machine: take `lab up --on local`, or remove it (kubeadm reset)"
		}
	}
	return f
}

func supervisor() Finding {
	f := Finding{What: "who runs the kubelet", Found: "systemd, as kubelet.service"}
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		f.Found = "a process of ours: there is no systemd, so `lab up` is to be run after a reboot"
	}
	return f
}

// image is what qemu's machines boot.
func image(repo string) Finding {
	f := Finding{What: "image of the machines", Optional: true}
	if found, err := filepath.Glob(filepath.Join(repo, "bin", "vm", "base-*", "base.qcow2")); err == nil && len(found) > 0 {
		f.Found = found[0]
		return f
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		f.Optional, f.Remedy = false, "vms/deps.sh installs mmdebstrap, which makes it"
		return f
	}
	f.Remedy = "the first start makes it, or `make vm-image`"
	return f
}

// subordinate ids lend a user the owners that files of the image have.
func subordinate() Finding {
	f := Finding{What: "ids to make the image with", Found: "you are root"}
	if os.Geteuid() == 0 {
		return f
	}
	user := os.Getenv("USER")
	b, err := os.ReadFile("/etc/subuid")
	if err != nil || !strings.Contains("\n"+string(b), "\n"+user+":") {
		f.Found, f.Remedy = "", "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "+user
		return f
	}
	if _, err := exec.LookPath("newuidmap"); err != nil {
		f.Found, f.Remedy = "", "vms/deps.sh installs newuidmap, which lends them"
		return f
	}
	f.Found = "/etc/subuid has some for " + user
	return f
}

// ordinary: limactl refuses root.
func ordinary() Finding {
	f := Finding{What: "not root", Found: "an ordinary user"}
	if os.Geteuid() == 0 {
		f.Found, f.Remedy = "you are root", "limactl refuses root: run lab as an ordinary user"
	}
	return f
}

func provider() Finding {
	f := Finding{What: "provider for vagrant"}
	if path, err := exec.LookPath("VBoxManage"); err == nil {
		f.Found = path
		return f
	}
	if _, err := os.Stat("/run/libvirt/libvirt-sock"); err != nil {
		f.Remedy = "vms/deps.sh libvirt, and start libvirtd; or install VirtualBox"
		return f
	}
	f.Found = "libvirt"
	return f
}
