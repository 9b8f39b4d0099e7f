package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// os checks that a pod which names its operating system asks nothing that this
// system does not have. (There is no Windows in this course; but the API has it.)
func (f *findings) os(s *corev1.PodSpec, p *field.Path) {
	switch {
	case s.OS == nil:
	case s.OS.Name == "":
		f.required(p.Child("os", "name"), "")
	case s.OS.Name == corev1.Windows:
		f.windows(s, p)
	case s.OS.Name == corev1.Linux:
		f.linux(s, p)
	default:
		someOf(f, p.Child("os"), s.OS.Name, corev1.Linux, corev1.Windows)
	}
}

type set struct {
	field string
	is    bool
}

func (f *findings) refuse(fields []set, why string, p *field.Path) {
	for _, s := range fields {
		if s.is {
			f.forbidden(p.Child(s.field), why)
		}
	}
}

func (f *findings) linux(s *corev1.PodSpec, p *field.Path) {
	const why = "windows options cannot be set for a linux pod"
	if sc := s.SecurityContext; sc != nil {
		f.refuse([]set{{"windowsOptions", sc.WindowsOptions != nil}}, why, p.Child("securityContext"))
	}
	for _, c := range containersOf(s, p) {
		if sc := c.container.SecurityContext; sc != nil {
			f.refuse([]set{{"windowsOptions", sc.WindowsOptions != nil}}, why, c.path.Child("securityContext"))
		}
	}
}

func (f *findings) windows(s *corev1.PodSpec, p *field.Path) {
	const why = "cannot be set for a windows pod"
	if sc := s.SecurityContext; sc != nil {
		f.refuse([]set{
			{"appArmorProfile", sc.AppArmorProfile != nil},
			{"seLinuxOptions", sc.SELinuxOptions != nil},
			{"seccompProfile", sc.SeccompProfile != nil},
			{"fsGroup", sc.FSGroup != nil},
			{"fsGroupChangePolicy", sc.FSGroupChangePolicy != nil},
			{"sysctls", len(sc.Sysctls) > 0},
			{"runAsUser", sc.RunAsUser != nil},
			{"runAsGroup", sc.RunAsGroup != nil},
			{"supplementalGroups", sc.SupplementalGroups != nil},
			{"supplementalGroupsPolicy", sc.SupplementalGroupsPolicy != nil},
			{"seLinuxChangePolicy", sc.SELinuxChangePolicy != nil},
		}, why, p.Child("securityContext"))
	}
	f.refuse([]set{
		{"hostUsers", s.HostUsers != nil},
		{"hostPID", s.HostPID},
		{"hostIPC", s.HostIPC},
		{"shareProcessNamespace", s.ShareProcessNamespace != nil},
	}, why, p)
	for _, c := range containersOf(s, p) {
		if sc := c.container.SecurityContext; sc != nil {
			f.refuse([]set{
				{"appArmorProfile", sc.AppArmorProfile != nil},
				{"seLinuxOptions", sc.SELinuxOptions != nil},
				{"seccompProfile", sc.SeccompProfile != nil},
				{"capabilities", sc.Capabilities != nil},
				{"readOnlyRootFilesystem", sc.ReadOnlyRootFilesystem != nil},
				{"privileged", sc.Privileged != nil},
				{"allowPrivilegeEscalation", sc.AllowPrivilegeEscalation != nil},
				{"procMount", sc.ProcMount != nil},
				{"runAsUser", sc.RunAsUser != nil},
				{"runAsGroup", sc.RunAsGroup != nil},
			}, why, c.path.Child("securityContext"))
		}
	}
}
