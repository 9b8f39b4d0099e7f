package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Sysctls turns what a pod asks for into files below /proc/sys. Only what
// belongs to a namespace of the pod is there to be set: the rest is the
// machine's, and so is that of a namespace which the pod shares with the node.
// Runc's rules (libcontainer/configs/validate).
func Sysctls(asked map[string]string, ownNet, ownIPC bool) (files map[string]string, err error) {
	files = map[string]string{}
	for name, value := range asked {
		file := sysctlFile(name)
		own, known := ownIPC, true
		switch {
		case slices.Contains(ipcSysctls, file), strings.HasPrefix(file, "fs/mqueue/"):
		case strings.HasPrefix(file, "net/"), file == "kernel/domainname": // UTS goes with the network
			own = ownNet
		default:
			known = false
		}
		switch {
		case !known:
			return nil, fmt.Errorf("sysctl %s is not a pod's to set: it is the node's, or the pod has a field for it", name)
		case !own:
			return nil, fmt.Errorf("sysctl %s belongs to a namespace that the pod shares with the node", name)
		}
		files[file] = value
	}
	return files, nil
}

var ipcSysctls = []string{
	"kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem",
	"kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced",
}

// sysctlFile: the first separator of a name says which of the two it is
// (sysctl.d(5)), so that eth0.1 can be part of either.
func sysctlFile(name string) string {
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '.' {
		name = strings.NewReplacer(".", "/", "/", ".").Replace(name)
	}
	return path.Join("/", name)[1:] // no way up
}
