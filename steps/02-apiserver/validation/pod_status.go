package validation

import (
	"fmt"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodStatusUpdate checks what a kubelet, or a scheduler, says of a pod.
func PodStatusUpdate(p, old *corev1.Pod) field.ErrorList {
	f := &findings{}
	at, s, before := field.NewPath("status"), &p.Status, &old.Status
	f.metaUpdate(&p.ObjectMeta, &old.ObjectMeta)
	f.keptAnnotations(p, old)
	f.conditions(s.Conditions, at.Child("conditions"))
	if p.Spec.NodeName != old.Spec.NodeName {
		f.forbidden(at.Child("nodeName"), "may not be changed directly")
	}
	if n := s.NominatedNodeName; n != "" && n != before.NominatedNodeName {
		f.subdomain(at.Child("nominatedNodeName"), n)
		if old.Spec.NodeName != "" {
			f.forbidden(at.Child("nominatedNodeName"), "may not be set on pods that are already bound to a node")
		}
	}
	atLeast(f, at.Child("observedGeneration"), s.ObservedGeneration, 0, "must be a non-negative integer")
	f.same(at.Child("qosClass"), s.QOSClass, before.QOSClass)
	if !restartsAll(&old.Spec) {
		f.transitions(&old.Spec, old.Spec.Containers, s.ContainerStatuses, before.ContainerStatuses, at.Child("containerStatuses"))
		f.transitions(&old.Spec, old.Spec.InitContainers, s.InitContainerStatuses, before.InitContainerStatuses, at.Child("initContainerStatuses"))
	}
	f.transitions(&old.Spec, nil, s.EphemeralContainerStatuses, before.EphemeralContainerStatuses, at.Child("ephemeralContainerStatuses"))
	f.claimStatuses(s.ResourceClaimStatuses, p.Spec.ResourceClaims, at.Child("resourceClaimStatuses"))
	f.extendedClaim(s.ExtendedResourceClaimStatus, &p.Spec, at.Child("extendedResourceClaimStatus"))
	f.podIPs(s, before, at.Child("podIPs"))
	f.hostIPs(s, before, at.Child("hostIPs"))
	for _, list := range []struct {
		field      string
		statuses   []corev1.ContainerStatus
		containers []corev1.Container
	}{
		{"containerStatuses", s.ContainerStatuses, p.Spec.Containers},
		{"initContainerStatuses", s.InitContainerStatuses, p.Spec.InitContainers},
	} {
		f.users(list.statuses, p.Spec.OS, at.Child(list.field))
		for i, c := range list.statuses {
			f.allocated(c.AllocatedResourcesStatus, containerOf(list.containers, c.Name), s.ExtendedResourceClaimStatus, at.Child(list.field).Index(i).Child("allocatedResourcesStatus"))
		}
	}
	f.users(s.EphemeralContainerStatuses, p.Spec.OS, at.Child("ephemeralContainerStatuses"))
	for i, c := range s.EphemeralContainerStatuses {
		if len(c.AllocatedResourcesStatus) > 0 {
			f.forbidden(at.Child("ephemeralContainerStatuses").Index(i).Child("allocatedResourcesStatus"), "must not be specified in container status")
		}
	}
	return f.list
}

func (f *findings) conditions(conditions []corev1.PodCondition, p *field.Path) {
	for i, c := range conditions {
		atLeast(f, p.Index(i).Child("observedGeneration"), c.ObservedGeneration, 0, "must be a non-negative integer")
		switch c.Type {
		case corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized:
		default:
			f.qualified(p.Index(i).Child("Type"), string(c.Type))
		}
	}
}

// transitions: a container that ended, and does not start again, has ended.
func (f *findings) transitions(s *corev1.PodSpec, containers []corev1.Container, now, old []corev1.ContainerStatus, p *field.Path) {
	for i, before := range old {
		if before.State.Terminated == nil {
			continue
		}
		at := slices.IndexFunc(now, func(c corev1.ContainerStatus) bool { return c.Name == before.Name })
		if at < 0 || now[at].State.Terminated != nil || restarts(s, containers, before) {
			continue
		}
		f.forbidden(p.Index(i).Child("state"), "may not be transitioned to non-terminated state")
	}
}

// restartsAll: the end of some container may be a new beginning for all.
func restartsAll(s *corev1.PodSpec) bool {
	return slices.ContainsFunc(containersOf(s, nil), func(c containerAt) bool {
		return slices.ContainsFunc(c.container.RestartPolicyRules, func(r corev1.ContainerRestartRule) bool {
			return r.Action == corev1.ContainerRestartRuleActionRestartAllContainers
		})
	})
}

// restarts: the container runs again after it ended like this. Its own policy
// counts before the pod's; a rule for its exit code before either.
func restarts(s *corev1.PodSpec, containers []corev1.Container, ended corev1.ContainerStatus) bool {
	i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == ended.Name })
	if i < 0 {
		return false
	}
	c, code, policy := &containers[i], ended.State.Terminated.ExitCode, s.RestartPolicy
	for _, rule := range c.RestartPolicyRules {
		if e := rule.ExitCodes; e != nil && slices.Contains(e.Values, code) == (e.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn) {
			return true
		}
	}
	if c.RestartPolicy != nil {
		policy = corev1.RestartPolicy(*c.RestartPolicy)
	}
	return policy == corev1.RestartPolicyAlways || policy == corev1.RestartPolicyOnFailure && code != 0
}

// users are who runs in containers, as a runtime tells it: of Linux any number of 32 bits
// for the user, and one of 31 for the groups.
func (f *findings) users(statuses []corev1.ContainerStatus, os *corev1.PodOS, p *field.Path) {
	for i, c := range statuses {
		if c.User == nil || c.User.Linux == nil {
			continue
		}
		at, u := p.Index(i).Child("user", "linux"), c.User.Linux
		if os != nil && os.Name == corev1.Windows {
			f.forbidden(at, "cannot be set for a windows pod")
			continue
		}
		if u.UID < 0 || u.UID > math.MaxUint32 {
			f.invalid(at.Child("uid"), u.UID, fmt.Sprintf("must be between 0 and %d, inclusive", int64(math.MaxUint32)))
		}
		f.invalid(at.Child("gid"), u.GID, validation.IsValidGroupID(u.GID)...)
		for g, gid := range u.SupplementalGroups {
			f.invalid(at.Child("supplementalGroups").Index(g), gid, validation.IsValidGroupID(gid)...)
		}
	}
}

// podIPs wants the one address to be the first of the list, and at most one of
// each family.
func (f *findings) podIPs(s, old *corev1.PodStatus, p *field.Path) {
	now, before := make([]string, len(s.PodIPs)), make([]string, len(old.PodIPs))
	for i := range s.PodIPs {
		now[i] = s.PodIPs[i].IP
	}
	for i := range old.PodIPs {
		before[i] = old.PodIPs[i].IP
	}
	f.statusIPs(now, before, s.PodIPs, p)
	switch {
	case (s.PodIP == "") != (len(now) == 0):
		f.invalid(p, s.PodIPs, "podIP and podIPs must either both be set or both be unset")
	case len(now) > 0 && now[0] != s.PodIP:
		f.invalid(p.Index(0).Child("ip"), now[0], "must be equal to `podIP`")
	}
}

// hostIPs is podIPs for the addresses of the node, of which older kubelets only tell one.
func (f *findings) hostIPs(s, old *corev1.PodStatus, p *field.Path) {
	now, before := make([]string, len(s.HostIPs)), make([]string, len(old.HostIPs))
	for i := range s.HostIPs {
		now[i] = s.HostIPs[i].IP
	}
	for i := range old.HostIPs {
		before[i] = old.HostIPs[i].IP
	}
	if len(now) > 0 && now[0] != s.HostIP {
		f.invalid(p.Index(0).Child("ip"), now[0], "must be equal to `hostIP`")
	}
	f.statusIPs(now, before, s.HostIPs, p)
}

func (f *findings) statusIPs(ips, before []string, value any, p *field.Path) {
	for i, ip := range ips {
		f.add(validation.IsValidIPForLegacyField(p.Index(i), ip, strict, before))
	}
	if len(ips) > 1 && (len(ips) > 2 || !dualStack(ips)) {
		f.invalid(p, value, "may specify no more than one IP for each IP family")
	}
}
