package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moby/sys/capability"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// defaultCapabilities are what root in a container keeps; Docker chose them.
var defaultCapabilities = []string{
	"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
	"CAP_MKNOD", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID",
	"CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

// newCapabilities computes the five sets of capabilities(7). The process gets
// no more than we have to give.
//
// A user other than root has them in the bounding set only: a program file
// with capabilities of its own can raise them, the process itself can't.
func newCapabilities(sec *runtimeapi.LinuxContainerSecurityContext, uid uint32, ours []string) *specs.LinuxCapabilities {
	set := slices.Clone(defaultCapabilities)
	if sec.GetPrivileged() {
		set = slices.Clone(ours)
	} else {
		c := sec.GetCapabilities()
		add, drop := capabilityNames(c.GetAddCapabilities()), capabilityNames(c.GetDropCapabilities())
		if slices.Contains(drop, "CAP_ALL") {
			set = nil
		}
		if slices.Contains(add, "CAP_ALL") {
			set = slices.Clone(ours)
		}
		set = slices.DeleteFunc(set, func(c string) bool { return slices.Contains(drop, c) })
		set = append(set, add...)
	}
	set = slices.DeleteFunc(set, func(c string) bool { return !slices.Contains(ours, c) })
	slices.Sort(set)
	set = slices.Compact(set)
	ambient := capabilityNames(sec.GetCapabilities().GetAddAmbientCapabilities())
	ambient = slices.DeleteFunc(ambient, func(c string) bool { return !slices.Contains(set, c) })
	caps := &specs.LinuxCapabilities{Bounding: set, Ambient: ambient, Inheritable: ambient}
	if uid == 0 {
		caps.Effective, caps.Permitted = set, set
	} else {
		caps.Effective, caps.Permitted = ambient, ambient
	}
	return caps
}

// checkCapabilities refuses names that no kernel knows: one that is misspelled
// would not be added, or worse, not be dropped. CRI-O refuses them too; runc
// logs a warning.
func checkCapabilities(c *runtimeapi.Capability) error {
	for _, names := range [][]string{c.GetAddCapabilities(), c.GetDropCapabilities(), c.GetAddAmbientCapabilities()} {
		for i, name := range capabilityNames(names) {
			if name != "CAP_ALL" && !slices.ContainsFunc(capability.ListKnown(), func(k capability.Cap) bool { return capabilityName(k) == name }) {
				return fmt.Errorf("unknown capability %q: see capabilities(7)", names[i])
			}
		}
	}
	return nil
}

func capabilityName(c capability.Cap) string { return "CAP_" + strings.ToUpper(c.String()) }

// capabilityNames spells them as the OCI spec does: kubelets say NET_ADMIN.
func capabilityNames(names []string) (out []string) {
	for _, n := range names {
		out = append(out, "CAP_"+strings.TrimPrefix(strings.ToUpper(n), "CAP_"))
	}
	return out
}
