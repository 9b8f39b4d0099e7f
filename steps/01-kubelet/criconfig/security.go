package criconfig

import (
	"errors"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// What of /proc and /sys an ordinary container neither sees nor changes. A
// namespace does not cover these: they speak of the machine.
var (
	maskedPaths = []string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
		"/sys/devices/virtual/powercap",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// effective is the security context that holds for a container: its own, and
// where it is silent the pod's.
func effective(pod *corev1.Pod, c *corev1.Container) corev1.SecurityContext {
	var sc corev1.SecurityContext
	if c.SecurityContext != nil {
		sc = *c.SecurityContext
	}
	p := podSecurity(pod)
	sc.SELinuxOptions = or(sc.SELinuxOptions, p.SELinuxOptions)
	sc.RunAsUser = or(sc.RunAsUser, p.RunAsUser)
	sc.RunAsGroup = or(sc.RunAsGroup, p.RunAsGroup)
	sc.RunAsNonRoot = or(sc.RunAsNonRoot, p.RunAsNonRoot)
	sc.SeccompProfile = or(sc.SeccompProfile, p.SeccompProfile)
	sc.AppArmorProfile = or(sc.AppArmorProfile, p.AppArmorProfile)
	return sc
}

func podSecurity(pod *corev1.Pod) corev1.PodSecurityContext {
	if pod.Spec.SecurityContext == nil {
		return corev1.PodSecurityContext{}
	}
	return *pod.Spec.SecurityContext
}

func or[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

func containerSecurity(in Input) (*runtimeapi.LinuxContainerSecurityContext, error) {
	sc := effective(in.Pod, in.Container)
	user, err := userOf(in, sc)
	if err != nil {
		return nil, err
	}
	if err := checkConsistent(in, sc); err != nil {
		return nil, err
	}
	seccomp, err := seccompProfile(in.Node, sc.SeccompProfile)
	if err != nil {
		return nil, fmt.Errorf("container %q: %w", in.Container.Name, err)
	}
	apparmor, err := appArmorProfile(in.Node, sc.AppArmorProfile)
	if err != nil {
		return nil, fmt.Errorf("container %q: cannot enforce AppArmor: %w", in.Container.Name, err)
	}
	selinux, err := seLinuxOptions(in.Node, sc.SELinuxOptions)
	if err != nil {
		return nil, fmt.Errorf("container %q: %w", in.Container.Name, err)
	}
	namespaces, err := namespaces(in.Node, in.Pod, in.TargetID)
	if err != nil {
		return nil, err
	}
	out := &runtimeapi.LinuxContainerSecurityContext{
		Privileged:               isTrue(sc.Privileged),
		Capabilities:             capabilities(sc.Capabilities),
		ReadonlyRootfs:           isTrue(sc.ReadOnlyRootFilesystem),
		NoNewPrivs:               sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation,
		RunAsUser:                user.id,
		RunAsUsername:            user.name,
		RunAsGroup:               int64Value(sc.RunAsGroup),
		SupplementalGroups:       supplementalGroups(in.Pod),
		SupplementalGroupsPolicy: groupsPolicy(in.Pod),
		NamespaceOptions:         namespaces,
		Seccomp:                  seccomp,
		Apparmor:                 apparmor,
		SelinuxOptions:           selinux,
	}
	if !unmasked(sc) && !out.Privileged {
		out.MaskedPaths, out.ReadonlyPaths = maskedPaths, readonlyPaths
	}
	return out, nil
}

// checkConsistent refuses what the API server's validation refuses: each of
// these would give a container more than its fields seem to say.
func checkConsistent(in Input, sc corev1.SecurityContext) error {
	name := in.Container.Name
	if sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation && isTrue(sc.Privileged) {
		return fmt.Errorf("container %q: cannot set allowPrivilegeEscalation to false and privileged to true", name)
	}
	if unmasked(sc) && !ownUsers(in.Pod) {
		return fmt.Errorf("container %q: hostUsers must be false if procMount is Unmasked", name)
	}
	return nil
}

func unmasked(sc corev1.SecurityContext) bool {
	return sc.ProcMount != nil && *sc.ProcMount == corev1.UnmaskedProcMount
}

// A user is what a container runs as: an id, or else a name that the runtime
// looks up in the image.
type user struct {
	id   *runtimeapi.Int64Value
	name string
}

// userOf chooses between the security context and the image, and verifies
// runAsNonRoot on the choice.
func userOf(in Input, sc corev1.SecurityContext) (user, error) {
	if sc.RunAsUser != nil {
		if isTrue(sc.RunAsNonRoot) && *sc.RunAsUser == 0 {
			return user{}, fmt.Errorf("container's runAsUser breaks non-root policy (pod: %q, container: %s)", podName(in.Pod), in.Container.Name)
		}
		return user{id: int64Value(sc.RunAsUser)}, nil
	}
	if name := in.Image.GetUsername(); name != "" && in.Image.GetUid() == nil {
		if isTrue(sc.RunAsNonRoot) {
			return user{}, fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root (pod: %q, container: %s)",
				name, podName(in.Pod), in.Container.Name)
		}
		return user{name: name}, nil
	}
	id := in.Image.GetUid().GetValue() // an image that says nothing means root
	if isTrue(sc.RunAsNonRoot) && id == 0 {
		return user{}, fmt.Errorf("container has runAsNonRoot and image will run as root (pod: %q, container: %s)", podName(in.Pod), in.Container.Name)
	}
	return user{id: int64Value(&id)}, nil
}

func capabilities(c *corev1.Capabilities) *runtimeapi.Capability {
	if c == nil {
		return nil
	}
	out := &runtimeapi.Capability{}
	for _, name := range c.Add {
		out.AddCapabilities = append(out.AddCapabilities, string(name))
	}
	for _, name := range c.Drop {
		out.DropCapabilities = append(out.DropCapabilities, string(name))
	}
	return out
}

// supplementalGroups are those that the pod asks for. The owner of its volumes
// (fsGroup) is one of them: that is how every container gets at them.
func supplementalGroups(pod *corev1.Pod) []int64 {
	sc := podSecurity(pod)
	var groups []int64
	if sc.FSGroup != nil {
		groups = append(groups, *sc.FSGroup)
	}
	return append(groups, sc.SupplementalGroups...)
}

func groupsPolicy(pod *corev1.Pod) runtimeapi.SupplementalGroupsPolicy {
	if p := podSecurity(pod).SupplementalGroupsPolicy; p != nil && *p == corev1.SupplementalGroupsPolicyStrict {
		return runtimeapi.SupplementalGroupsPolicy_Strict
	}
	return runtimeapi.SupplementalGroupsPolicy_Merge
}

func seccompProfile(node Node, p *corev1.SeccompProfile) (*runtimeapi.SecurityProfile, error) {
	if p == nil {
		if node.SeccompDefault {
			return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault}, nil
		}
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Unconfined}, nil
	}
	profile, err := securityProfile("seccompProfile", string(p.Type), p.LocalhostProfile)
	if err != nil || profile.ProfileType != runtimeapi.SecurityProfile_Localhost {
		return profile, err
	}
	if !filepath.IsLocal(profile.LocalhostRef) {
		return nil, fmt.Errorf("localhostProfile %q must be a relative path without '..'", profile.LocalhostRef)
	}
	profile.LocalhostRef = node.seccompPath(profile.LocalhostRef)
	return profile, nil
}

func appArmorProfile(node Node, p *corev1.AppArmorProfile) (*runtimeapi.SecurityProfile, error) {
	if p == nil {
		return nil, nil
	}
	if !node.AppArmor && p.Type != corev1.AppArmorProfileTypeUnconfined {
		return nil, errors.New("AppArmor is not enabled on the host")
	}
	return securityProfile("appArmorProfile", string(p.Type), p.LocalhostProfile)
}

func securityProfile(field, kind string, localhost *string) (*runtimeapi.SecurityProfile, error) {
	switch kind {
	case "RuntimeDefault":
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault}, nil
	case "Unconfined":
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Unconfined}, nil
	case "Localhost":
		if localhost == nil || *localhost == "" {
			return nil, fmt.Errorf("localhostProfile must be set if %s type is Localhost", field)
		}
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Localhost, LocalhostRef: *localhost}, nil
	}
	return nil, fmt.Errorf("%s: unknown type %q", field, kind)
}

func seLinuxOptions(node Node, o *corev1.SELinuxOptions) (*runtimeapi.SELinuxOption, error) {
	if o == nil {
		return nil, nil
	}
	if !node.SELinux {
		return nil, fmt.Errorf("cannot apply seLinuxOptions: SELinux is not enabled on the host")
	}
	return &runtimeapi.SELinuxOption{User: o.User, Role: o.Role, Type: o.Type, Level: o.Level}, nil
}

// sandboxSecurity is what the pod's first process, which does nothing, runs
// with. It is as confined as it can be, whatever the containers want.
func sandboxSecurity(node Node, pod *corev1.Pod) (*runtimeapi.LinuxSandboxSecurityContext, error) {
	namespaces, err := namespaces(node, pod, "")
	if err != nil {
		return nil, err
	}
	sc := podSecurity(pod)
	selinux, err := seLinuxOptions(node, sc.SELinuxOptions)
	if err != nil {
		return nil, err
	}
	return &runtimeapi.LinuxSandboxSecurityContext{
		NamespaceOptions:         namespaces,
		SelinuxOptions:           selinux,
		RunAsUser:                int64Value(sc.RunAsUser),
		RunAsGroup:               int64Value(sc.RunAsGroup),
		SupplementalGroups:       supplementalGroups(pod),
		SupplementalGroupsPolicy: groupsPolicy(pod),
		Privileged:               hasPrivileged(pod),
		Seccomp:                  &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault},
	}, nil
}

func hasPrivileged(pod *corev1.Pod) bool {
	for c := range containers(pod) {
		if c.SecurityContext != nil && isTrue(c.SecurityContext.Privileged) {
			return true
		}
	}
	return false
}

func int64Value(p *int64) *runtimeapi.Int64Value {
	if p == nil {
		return nil
	}
	return &runtimeapi.Int64Value{Value: *p}
}
