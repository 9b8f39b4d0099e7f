package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podSecurity checks what concerns the pod's users, groups and namespaces.
func (f *findings) podSecurity(spec *corev1.PodSpec, p *field.Path) {
	if sc := spec.SecurityContext; sc != nil {
		f.podSecurityContext(spec, sc, p.Child("securityContext"))
	}
	if s := spec.ShareProcessNamespace; s != nil && *s && spec.HostPID {
		f.invalid(p.Child("shareProcessNamespace"), true, "ShareProcessNamespace and HostPID cannot both be enabled")
	}
	if hostUsers(spec) {
		return
	}
	for _, shared := range []struct {
		field string
		is    bool
	}{{"hostNetwork", spec.HostNetwork}, {"HostPID", spec.HostPID}, {"HostIPC", spec.HostIPC}} {
		if shared.is {
			f.forbidden(p.Child(shared.field), "when `hostUsers` is false")
		}
	}
}

func hostUsers(spec *corev1.PodSpec) bool { return spec.HostUsers == nil || *spec.HostUsers }

func (f *findings) podSecurityContext(spec *corev1.PodSpec, sc *corev1.PodSecurityContext, p *field.Path) {
	f.group(p.Child("fsGroup"), sc.FSGroup)
	f.user(p.Child("runAsUser"), sc.RunAsUser)
	f.group(p.Child("runAsGroup"), sc.RunAsGroup)
	for i := range sc.SupplementalGroups {
		f.group(p.Child("supplementalGroups").Index(i), &sc.SupplementalGroups[i])
	}
	f.sysctls(spec, sc.Sysctls, p.Child("sysctls"))
	optional(f, p.Child("fsGroupChangePolicy"), sc.FSGroupChangePolicy, corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)
	f.seccomp(sc.SeccompProfile, p.Child("seccompProfile"))
	f.appArmor(sc.AppArmorProfile, p.Child("appArmorProfile"))
	optional(f, p.Child("supplementalGroupsPolicy"), sc.SupplementalGroupsPolicy,
		corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)
}

func (f *findings) user(p *field.Path, id *int64) {
	if id != nil {
		f.invalid(p, *id, validation.IsValidUserID(*id)...)
	}
}

func (f *findings) group(p *field.Path, id *int64) {
	if id != nil {
		f.invalid(p, *id, validation.IsValidGroupID(*id)...)
	}
}

const maxSysctl = 253

var sysctlName = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`)

func (f *findings) sysctls(spec *corev1.PodSpec, list []corev1.Sysctl, p *field.Path) {
	names := sets.New[string]()
	for i, s := range list {
		at := p.Index(i).Child("name")
		switch {
		case s.Name == "":
			f.required(at, "")
		case len(s.Name) > maxSysctl || !sysctlName.MatchString(s.Name):
			f.invalid(at, s.Name, fmt.Sprintf("must have at most %d characters and match regex %s", maxSysctl, sysctlName))
		case names.Has(s.Name):
			f.duplicate(at, s.Name)
		}
		names.Insert(s.Name)
		name := strings.ReplaceAll(s.Name, "/", ".")
		ipc := strings.HasPrefix(name, "kernel.shm") || strings.HasPrefix(name, "kernel.msg") || name == "kernel.sem" || strings.HasPrefix(name, "fs.mqueue.")
		if spec.HostNetwork && strings.HasPrefix(name, "net.") {
			f.invalid(at, s.Name, "may not be specified when 'hostNetwork' is true")
		} else if spec.HostIPC && ipc {
			f.invalid(at, s.Name, "may not be specified when 'hostIPC' is true")
		}
	}
}

// security checks a container's own context.
func (f *findings) security(spec *corev1.PodSpec, sc *corev1.SecurityContext, p *field.Path) {
	if sc == nil {
		return
	}
	f.user(p.Child("runAsUser"), sc.RunAsUser)
	f.group(p.Child("runAsGroup"), sc.RunAsGroup)
	if sc.ProcMount != nil {
		someOf(f, p.Child("procMount"), *sc.ProcMount, corev1.DefaultProcMount, corev1.UnmaskedProcMount)
		if hostUsers(spec) && *sc.ProcMount == corev1.UnmaskedProcMount {
			f.invalid(p.Child("procMount"), sc.ProcMount, "`hostUsers` must be false to use `Unmasked`")
		}
	}
	f.seccomp(sc.SeccompProfile, p.Child("seccompProfile"))
	f.escalation(sc, p)
	f.appArmor(sc.AppArmorProfile, p.Child("appArmorProfile"))
}

// escalation refuses a promise that what else is set would break.
func (f *findings) escalation(sc *corev1.SecurityContext, p *field.Path) {
	if sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation {
		return
	}
	if sc.Privileged != nil && *sc.Privileged {
		f.invalid(p, sc, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
	}
	if sc.Capabilities != nil && slices.Contains(sc.Capabilities.Add, "CAP_SYS_ADMIN") {
		f.invalid(p, sc, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN")
	}
}

func (f *findings) seccomp(s *corev1.SeccompProfile, p *field.Path) {
	if s == nil {
		return
	}
	if s.Type == "" {
		f.required(p.Child("type"), "type is required when seccompProfile is set")
	} else {
		someOf(f, p.Child("type"), s.Type, corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)
	}
	at := p.Child("localhostProfile")
	switch local := s.Type == corev1.SeccompProfileTypeLocalhost; {
	case local && s.LocalhostProfile == nil:
		f.required(at, "must be set when seccomp type is Localhost")
	case local:
		f.below(*s.LocalhostProfile, at)
	case s.LocalhostProfile != nil:
		f.invalid(at, s, "can only be set when seccomp type is Localhost")
	}
}

func (f *findings) appArmor(a *corev1.AppArmorProfile, p *field.Path) {
	if a == nil {
		return
	}
	at := p.Child("localhostProfile")
	switch a.Type {
	case corev1.AppArmorProfileTypeLocalhost:
		switch {
		case a.LocalhostProfile == nil, *a.LocalhostProfile == "":
			f.required(at, "must be set when AppArmor type is Localhost")
		case strings.TrimSpace(*a.LocalhostProfile) != *a.LocalhostProfile:
			f.invalid(at, *a.LocalhostProfile, "must not be padded with whitespace")
		}
	case corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined:
		if a.LocalhostProfile != nil {
			f.invalid(at, a.LocalhostProfile, "can only be set when AppArmor type is Localhost")
		}
	case "":
		f.required(p.Child("type"), "type is required when appArmorProfile is set")
	default:
		someOf(f, p.Child("type"), a.Type, corev1.AppArmorProfileTypeLocalhost, corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined)
	}
}
