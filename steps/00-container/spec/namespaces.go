package spec

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// newNamespaces: a container joins those of its pod by the pause process's
// entries in /proc, has a mount namespace of its own, and a PID namespace as
// asked. Where nothing is listed it has the node's.
func newNamespaces(r Request, sec *runtimeapi.LinuxContainerSecurityContext) []specs.LinuxNamespace {
	own := func(t specs.LinuxNamespaceType) specs.LinuxNamespace { return specs.LinuxNamespace{Type: t} }
	of := func(t specs.LinuxNamespaceType, name string, pid int) specs.LinuxNamespace {
		if pid == 0 {
			return own(t) // no pod: a spec to look at, or for `runc run`
		}
		return specs.LinuxNamespace{Type: t, Path: fmt.Sprintf("/proc/%d/ns/%s", pid, name)}
	}
	pause := r.Sandbox.PausePID
	ns := []specs.LinuxNamespace{own(specs.MountNamespace)}
	if !r.Sandbox.HostNetwork { // a host on the network has its name there
		ns = append(ns, of(specs.UTSNamespace, "uts", pause), of(specs.NetworkNamespace, "net", pause))
	}
	if !r.Sandbox.HostIPC {
		ns = append(ns, of(specs.IPCNamespace, "ipc", pause))
	}
	if r.Sandbox.UserNS {
		ns = append(ns, of(specs.UserNamespace, "user", pause))
	}
	// Its cgroup is then the root of what it sees. On v1, with a hierarchy for each
	// controller, that also takes half as long to mount as as many bind mounts.
	if r.Host.CgroupNS && !sec.GetPrivileged() {
		ns = append(ns, own(specs.CgroupNamespace))
	}
	switch sec.GetNamespaceOptions().GetPid() {
	case runtimeapi.NamespaceMode_POD:
		ns = append(ns, of(specs.PIDNamespace, "pid", pause))
	case runtimeapi.NamespaceMode_CONTAINER:
		ns = append(ns, own(specs.PIDNamespace))
	case runtimeapi.NamespaceMode_TARGET:
		ns = append(ns, of(specs.PIDNamespace, "pid", r.TargetPID))
	}
	return ns
}
