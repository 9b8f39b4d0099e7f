package manifest

import (
	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
)

// SetDefaults fills in what the pod leaves out, as upstream's API server does
// when a pod is created (pkg/apis/core/v1/defaults.go). Doing it again changes
// nothing. Kinds of volumes that only other programs serve keep their gaps.
func SetDefaults(pod *corev1.Pod) {
	spec := &pod.Spec
	if spec.ServiceAccountName == "" {
		spec.ServiceAccountName = spec.DeprecatedServiceAccount
	}
	spec.DeprecatedServiceAccount = spec.ServiceAccountName
	set(&spec.RestartPolicy, corev1.RestartPolicyAlways)
	set(&spec.DNSPolicy, corev1.DNSClusterFirst)
	set(&spec.SchedulerName, corev1.DefaultSchedulerName)
	setPointer(&spec.SecurityContext, corev1.PodSecurityContext{})
	setPointer(&spec.EnableServiceLinks, corev1.DefaultEnableServiceLinks)
	setPointer(&spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	if *spec.TerminationGracePeriodSeconds < 0 {
		*spec.TerminationGracePeriodSeconds = 1
	}
	roundUp(spec.Overhead)
	for i := range spec.Volumes {
		defaultVolume(&spec.Volumes[i])
	}
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			defaultContainer(&list[i], spec.HostNetwork)
			defaultRequests(&list[i])
		}
	}
	for i := range spec.EphemeralContainers {
		c := corev1.Container(spec.EphemeralContainers[i].EphemeralContainerCommon)
		defaultContainer(&c, false)
		spec.EphemeralContainers[i].EphemeralContainerCommon = corev1.EphemeralContainerCommon(c)
	}
}

func set[T ~string](field *T, value T) {
	if *field == "" {
		*field = value
	}
}

func setPointer[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

func defaultContainer(c *corev1.Container, hostNetwork bool) {
	policy := corev1.PullIfNotPresent
	if isLatest(c.Image) {
		policy = corev1.PullAlways
	}
	set(&c.ImagePullPolicy, policy)
	set(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	set(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		set(&c.Ports[i].Protocol, corev1.ProtocolTCP)
		if hostNetwork && c.Ports[i].HostPort == 0 {
			c.Ports[i].HostPort = c.Ports[i].ContainerPort
		}
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil && from.FieldRef != nil {
			set(&from.FieldRef.APIVersion, "v1")
		}
	}
	roundUp(c.Resources.Limits)
	roundUp(c.Resources.Requests)
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p != nil {
			defaultProbe(p)
		}
	}
	if c.Lifecycle != nil {
		for _, h := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if h != nil && h.HTTPGet != nil {
				defaultGet(h.HTTPGet)
			}
		}
	}
}

// isLatest: the image is named without tag or digest, or by the tag latest. Who asks
// for an image that can't be named learns it elsewhere.
func isLatest(image string) bool {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return false
	}
	tagged, ok := reference.TagNameOnly(named).(reference.Tagged)
	return ok && tagged.Tag() == "latest"
}

// defaultRequests: who limits a resource requests as much.
func defaultRequests(c *corev1.Container) {
	for name, limit := range c.Resources.Limits {
		if c.Resources.Requests == nil {
			c.Resources.Requests = corev1.ResourceList{}
		}
		if _, ok := c.Resources.Requests[name]; !ok {
			c.Resources.Requests[name] = limit.DeepCopy()
		}
	}
}

// roundUp gives quantities the precision that the API keeps: thousandths.
func roundUp(list corev1.ResourceList) {
	for name, q := range list {
		q.RoundUp(-3)
		list[name] = q
	}
}

func defaultProbe(p *corev1.Probe) {
	for field, value := range map[*int32]int32{&p.TimeoutSeconds: 1, &p.PeriodSeconds: 10, &p.SuccessThreshold: 1, &p.FailureThreshold: 3} {
		if *field == 0 {
			*field = value
		}
	}
	if p.HTTPGet != nil {
		defaultGet(p.HTTPGet)
	}
	if p.GRPC != nil {
		setPointer(&p.GRPC.Service, "")
	}
}

func defaultGet(g *corev1.HTTPGetAction) {
	set(&g.Path, "/")
	set(&g.Scheme, corev1.URISchemeHTTP)
}

func defaultVolume(v *corev1.Volume) {
	if v.VolumeSource == (corev1.VolumeSource{}) {
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	const mode = int32(0o644)
	switch {
	case v.HostPath != nil:
		setPointer(&v.HostPath.Type, corev1.HostPathUnset)
	case v.Secret != nil:
		setPointer(&v.Secret.DefaultMode, mode)
	case v.ConfigMap != nil:
		setPointer(&v.ConfigMap.DefaultMode, mode)
	case v.DownwardAPI != nil:
		setPointer(&v.DownwardAPI.DefaultMode, mode)
		defaultFiles(v.DownwardAPI.Items)
	case v.Projected != nil:
		setPointer(&v.Projected.DefaultMode, mode)
		for _, source := range v.Projected.Sources {
			if source.DownwardAPI != nil {
				defaultFiles(source.DownwardAPI.Items)
			}
			if t := source.ServiceAccountToken; t != nil {
				setPointer(&t.ExpirationSeconds, 60*60)
			}
		}
	case v.Image != nil:
		policy := corev1.PullIfNotPresent
		if isLatest(v.Image.Reference) {
			policy = corev1.PullAlways
		}
		set(&v.Image.PullPolicy, policy)
	}
}

func defaultFiles(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		if items[i].FieldRef != nil {
			set(&items[i].FieldRef.APIVersion, "v1")
		}
	}
}
