package criconfig

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
)

// Unsupported lists the fields that a pod sets and this step does not honour.
// It is the one place that knows, so that nothing is ignored in silence: the
// manifest package turns it into warnings, and a test compares it with every
// field of the API. Fields for another component (nodeSelector: the scheduler)
// are listed because no such component is here. Of those that end in
// "refused" the warning tells early what an error will tell again.
func Unsupported(node Node, pod *corev1.Pod) field.ErrorList {
	spec := field.NewPath("spec")
	u := unsupported{node: node}
	u.pod(spec, &pod.Spec)
	for i := range pod.Spec.Volumes {
		u.volume(spec.Child("volumes").Index(i), &pod.Spec.Volumes[i], podsource.IsStatic(pod))
	}
	for i := range pod.Spec.InitContainers {
		u.container(spec.Child("initContainers").Index(i), &pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		u.container(spec.Child("containers").Index(i), &pod.Spec.Containers[i])
	}
	for i := range pod.Spec.EphemeralContainers {
		u.container(spec.Child("ephemeralContainers").Index(i), Ephemeral(&pod.Spec.EphemeralContainers[i]))
	}
	return u.list
}

type unsupported struct {
	node Node
	list field.ErrorList
}

// when reports the field if it is set.
func (u *unsupported) when(set bool, parent *field.Path, name, why string) {
	if set {
		u.list = append(u.list, field.Forbidden(parent.Child(name), why))
	}
}

// alone reports what means something only where there is a cluster around the
// node.
func (u *unsupported) alone(p *field.Path, s *corev1.PodSpec) {
	const (
		scheduling = "has no effect: no scheduler places the pods of this node"
		noAPI      = "has no effect: there is no API server"
	)
	u.when(len(s.NodeSelector) > 0, p, "nodeSelector", scheduling)
	u.when(s.Affinity != nil, p, "affinity", scheduling)
	u.when(len(s.Tolerations) > 0, p, "tolerations", scheduling)
	u.when(len(s.TopologySpreadConstraints) > 0, p, "topologySpreadConstraints", scheduling)
	u.when(len(s.SchedulingGates) > 0, p, "schedulingGates", scheduling)
	u.when(s.SchedulingGroup != nil, p, "schedulingGroup", scheduling)
	u.when(s.PreemptionPolicy != nil, p, "preemptionPolicy", scheduling)
	u.when(s.SchedulerName != "" && s.SchedulerName != corev1.DefaultSchedulerName, p, "schedulerName", scheduling)

	u.when(s.ServiceAccountName != "" && s.ServiceAccountName != "default", p, "serviceAccountName", noAPI+" to give it a token")
	u.when(s.DeprecatedServiceAccount != "" && s.DeprecatedServiceAccount != "default", p, "serviceAccount", noAPI+" to give it a token")
	u.when(isTrue(s.AutomountServiceAccountToken), p, "automountServiceAccountToken", noAPI+" to give it a token")
	u.when(len(s.ImagePullSecrets) > 0, p, "imagePullSecrets", noAPI+" to hold them; images are pulled with the node's own credentials")
	u.when(isTrue(s.EnableServiceLinks), p, "enableServiceLinks", noAPI+" that knows services")
	u.when(len(s.EvictionResponders) > 0, p, "evictionResponders", noAPI+" through which pods are evicted")

	u.when(s.PriorityClassName != "" && s.PriorityClassName != "system-node-critical", p, "priorityClassName", "has no effect: only system-node-critical is known here")
	u.when(s.Priority != nil, p, "priority", "has no effect: nothing on this node preempts or evicts by priority")
}

func (u *unsupported) pod(p *field.Path, s *corev1.PodSpec) {
	if !u.node.APIServer {
		u.alone(p, s)
	}
	u.when(len(s.ResourceClaims) > 0, p, "resourceClaims", "has no effect: there is no driver to allocate devices")
	u.when(s.Overhead != nil, p, "overhead", "has no effect: this runtime's sandboxes are not virtual machines")
	u.when(s.Resources != nil, p, "resources", "has no effect: set the resources of the containers")
	u.when(s.RuntimeClassName != nil && *s.RuntimeClassName != "", p, "runtimeClassName", "is not supported: the pod will be refused")
	if d := s.DNSConfig; d != nil {
		u.when(len(d.Nameservers) > maxServers, p.Child("dnsConfig"), "nameservers", "only three are used, those of the dnsPolicy first")
		u.when(len(d.Searches) > maxSearches, p.Child("dnsConfig"), "searches", "only 32 are used, those of the dnsPolicy first")
	}
	if sc := s.SecurityContext; sc != nil {
		u.when(sc.WindowsOptions != nil, p.Child("securityContext"), "windowsOptions", "has no effect on Linux")
		u.seccomp(p.Child("securityContext"), sc.SeccompProfile)
		u.when(sc.SELinuxChangePolicy != nil, p.Child("securityContext"), "seLinuxChangePolicy", "has no effect: volumes are not relabelled")
	}
}

func (u *unsupported) container(p *field.Path, c *corev1.Container) {
	u.when(len(c.VolumeDevices) > 0, p, "volumeDevices", "are not supported: the container will be refused")
	u.when(len(c.ResizePolicy) > 0 && !u.node.APIServer, p, "resizePolicy", "has no effect: there is no API server through which pods are resized")
	u.when(len(c.Resources.Claims) > 0, p.Child("resources"), "claims", "have no effect: there is no driver to allocate devices")
	u.resources(p.Child("resources", "limits"), c.Resources.Limits)
	u.resources(p.Child("resources", "requests"), c.Resources.Requests)
	if sc := c.SecurityContext; sc != nil {
		u.seccomp(p.Child("securityContext"), sc.SeccompProfile)
		u.when(sc.WindowsOptions != nil, p.Child("securityContext"), "windowsOptions", "has no effect on Linux")
	}
	for _, e := range c.EnvFrom {
		required := !u.node.APIServer && (e.ConfigMapRef != nil && !isTrue(e.ConfigMapRef.Optional) || e.SecretRef != nil && !isTrue(e.SecretRef.Optional))
		u.when(required, p, "envFrom", "there is no API server to ask: the container will be refused")
	}
	for i, e := range c.Env {
		u.env(p.Child("env").Index(i), e.ValueFrom)
	}
}

// seccomp: without a filter a pod is less confined than it says, or does not start.
func (u *unsupported) seccomp(p *field.Path, s *corev1.SeccompProfile) {
	if s == nil || !u.node.NoSeccomp {
		return
	}
	const lacks = "the container runtime was built without libseccomp"
	u.when(s.Type == corev1.SeccompProfileTypeRuntimeDefault, p, "seccompProfile", "has no effect: "+lacks)
	u.when(s.Type == corev1.SeccompProfileTypeLocalhost, p, "seccompProfile", lacks+": the container will be refused")
}

func (u *unsupported) env(p *field.Path, from *corev1.EnvVarSource) {
	if from == nil {
		return
	}
	const why = "there is no API server to ask: the container will be refused"
	p = p.Child("valueFrom")
	alone := !u.node.APIServer
	u.when(alone && from.ConfigMapKeyRef != nil && !isTrue(from.ConfigMapKeyRef.Optional), p, "configMapKeyRef", why)
	u.when(alone && from.SecretKeyRef != nil && !isTrue(from.SecretKeyRef.Optional), p, "secretKeyRef", why)
	u.when(from.FileKeyRef != nil, p, "fileKeyRef", "is not supported: the container will be refused")
}

func (u *unsupported) resources(p *field.Path, list corev1.ResourceList) {
	for _, name := range slices.Sorted(maps.Keys(list)) {
		switch {
		case name == corev1.ResourceCPU, name == corev1.ResourceMemory, strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
		case name == corev1.ResourceEphemeralStorage:
			u.list = append(u.list, field.Forbidden(p.Key(string(name)), "has no effect: only the sizeLimit of an emptyDir is watched"))
		default:
			u.list = append(u.list, field.Forbidden(p.Key(string(name)), "has no effect: this node has no such resource"))
		}
	}
}

// volume reports the kinds that no plugin of this step supports.
func (u *unsupported) volume(p *field.Path, v *corev1.Volume, static bool) {
	const why = "is not supported: a pod that mounts it waits for it"
	s := &v.VolumeSource
	switch {
	case s.EmptyDir != nil:
		u.when(strings.HasPrefix(string(s.EmptyDir.Medium), string(corev1.StorageMediumHugePages)), p.Child("emptyDir"), "medium", why)
		u.when(static && s.EmptyDir.Medium == "" && s.EmptyDir.SizeLimit != nil, p.Child("emptyDir"), "sizeLimit",
			"is watched and logged, but not enforced: static pods are not evicted")
	case s.HostPath != nil, s.DownwardAPI != nil:
	case u.node.APIServer && (s.ConfigMap != nil || s.Secret != nil):
	case s.Projected != nil:
		for i := range s.Projected.Sources {
			u.projection(p.Child("projected", "sources").Index(i), &s.Projected.Sources[i])
		}
	default:
		u.list = append(u.list, field.Forbidden(p, "this kind of volume "+why))
	}
}

func (u *unsupported) projection(p *field.Path, s *corev1.VolumeProjection) {
	why := "is not supported without an API server: a pod that mounts it waits for it"
	alone := !u.node.APIServer
	u.when(alone && s.ServiceAccountToken != nil, p, "serviceAccountToken", why)
	u.when(alone && s.ConfigMap != nil && !isTrue(s.ConfigMap.Optional), p, "configMap", why)
	u.when(alone && s.Secret != nil && !isTrue(s.Secret.Optional), p, "secret", why)
	if !alone {
		why = "is not supported: a pod that mounts it waits for it"
	}
	u.when(s.ClusterTrustBundle != nil && !isTrue(s.ClusterTrustBundle.Optional), p, "clusterTrustBundle", why)
	u.when(s.PodCertificate != nil, p, "podCertificate", why)
}
