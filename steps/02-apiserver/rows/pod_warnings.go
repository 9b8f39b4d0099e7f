package rows

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podWarnings tells who makes a pod what is allowed and hardly meant. Those who
// change one are mostly programs, and are told nothing. Upstream: pkg/api/pod/warnings.go.
func podWarnings(p, old *corev1.Pod) []string {
	if old != nil {
		return nil
	}
	w := &warnings{}
	if bad := validation.IsDNS1123Label(p.Name); len(bad) > 0 {
		w.add(field.NewPath("metadata", "name"), "this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: %v", bad)
	}
	w.pod(&p.Spec, &p.ObjectMeta, nil)
	return w.list
}

func podTemplateWarnings(t, old *corev1.PodTemplate) []string {
	if old != nil && t.Generation == old.Generation {
		return nil
	}
	w := &warnings{}
	w.pod(&t.Template.Spec, &t.Template.ObjectMeta, field.NewPath("template"))
	return w.list
}

type warnings struct{ list []string }

func (w *warnings) add(p *field.Path, format string, args ...any) {
	w.list = append(w.list, fmt.Sprintf("%s: ", p)+fmt.Sprintf(format, args...))
}

func (w *warnings) pod(s *corev1.PodSpec, m *metav1.ObjectMeta, p *field.Path) {
	at := p.Child("spec")
	w.oldLabels(s, at)
	w.oldAnnotations(m.Annotations, p.Child("metadata", "annotations"))
	w.volumes(s.Volumes, at.Child("volumes"))
	w.twice(s, at)
	w.fractions(s.Overhead, at.Child("overhead"))
	w.seccomp(s, m, p)
	all := containersOf(s, at)
	for _, c := range all {
		w.fractions(c.Resources.Limits, c.path.Child("resources", "limits"))
		w.fractions(c.Resources.Requests, c.path.Child("resources", "requests"))
		w.env(c.Env, c.path.Child("env"))
	}
	w.ports(all)
	w.portNames(all)
	if g := s.TerminationGracePeriodSeconds; g != nil && *g < 0 {
		w.add(at.Child("terminationGracePeriodSeconds"), "must be >= 0; negative values are invalid and will be treated as 1")
	}
	w.selectors(s.Affinity, at.Child("affinity"))
	if s.DNSConfig != nil {
		for i, server := range s.DNSConfig.Nameservers {
			w.list = append(w.list, validation.GetWarningsForIP(at.Child("dnsConfig", "nameservers").Index(i), server)...)
		}
	}
	for i, alias := range s.HostAliases {
		w.list = append(w.list, validation.GetWarningsForIP(at.Child("hostAliases").Index(i).Child("ip"), alias.IP)...)
	}
}

type containerAt struct {
	*corev1.Container
	path *field.Path
}

func containersOf(s *corev1.PodSpec, p *field.Path) (all []containerAt) {
	for i := range s.InitContainers {
		all = append(all, containerAt{&s.InitContainers[i], p.Child("initContainers").Index(i)})
	}
	for i := range s.Containers {
		all = append(all, containerAt{&s.Containers[i], p.Child("containers").Index(i)})
	}
	return all
}

// deprecatedLabels of nodes, and what to use instead.
var deprecatedLabels = map[string]string{
	"beta.kubernetes.io/arch":                       `deprecated since v1.14; use "kubernetes.io/arch" instead`,
	"beta.kubernetes.io/os":                         `deprecated since v1.14; use "kubernetes.io/os" instead`,
	"failure-domain.beta.kubernetes.io/region":      `deprecated since v1.17; use "topology.kubernetes.io/region" instead`,
	"failure-domain.beta.kubernetes.io/zone":        `deprecated since v1.17; use "topology.kubernetes.io/zone" instead`,
	"beta.kubernetes.io/instance-type":              `deprecated since v1.17; use "node.kubernetes.io/instance-type" instead`,
	"app.kubernetes.io/created-by":                  `deprecated since v1.9`,
	"scheduler.alpha.kubernetes.io/preferAvoidPods": `deprecated since v1.22; use Taints and Tolerations instead`,
	"node-role.kubernetes.io/master":                `use "node-role.kubernetes.io/control-plane" instead`,
}

// deprecatedAnnotations of pods, which no longer do anything.
var deprecatedAnnotations = []struct{ key, why string }{
	{"scheduler.alpha.kubernetes.io/critical-pod", `non-functional in v1.16+; use the "priorityClassName" field instead`},
	{"security.alpha.kubernetes.io/sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
	{"security.alpha.kubernetes.io/unsafe-sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
}

func (w *warnings) oldLabels(s *corev1.PodSpec, p *field.Path) {
	for _, key := range slices.Sorted(maps.Keys(s.NodeSelector)) {
		if why, ok := deprecatedLabels[key]; ok {
			w.add(p.Child("nodeSelector").Key(key), "%s", why)
		}
	}
	if s.Affinity != nil && s.Affinity.NodeAffinity != nil {
		n, at := s.Affinity.NodeAffinity, p.Child("affinity", "nodeAffinity")
		if r := n.RequiredDuringSchedulingIgnoredDuringExecution; r != nil {
			for i, t := range r.NodeSelectorTerms {
				w.nodeTerm(t, false, at.Child("requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms").Index(i))
			}
		}
		for i, t := range n.PreferredDuringSchedulingIgnoredDuringExecution {
			w.nodeTerm(t.Preference, true, at.Child("preferredDuringSchedulingIgnoredDuringExecution").Index(i).Child("preference"))
		}
	}
	for i, c := range s.TopologySpreadConstraints {
		at := p.Child("topologySpreadConstraints").Index(i)
		if why, ok := deprecatedLabels[c.TopologyKey]; ok {
			w.add(at.Child("topologyKey"), "%s is %s", c.TopologyKey, why)
		}
		w.selector(c.LabelSelector, at)
	}
}

// nodeTerm also looks at the values where validation does not.
func (w *warnings) nodeTerm(t corev1.NodeSelectorTerm, values bool, p *field.Path) {
	for i, e := range t.MatchExpressions {
		at := p.Child("matchExpressions").Index(i)
		if why, ok := deprecatedLabels[e.Key]; ok {
			w.add(at.Child("key"), "%s is %s", e.Key, why)
		}
		for j, v := range e.Values {
			for _, why := range validation.IsValidLabelValue(v) {
				if values {
					w.add(at.Child("values").Index(j), "%s is invalid, %s", v, why)
				}
			}
		}
	}
}

func (w *warnings) oldAnnotations(annotations map[string]string, p *field.Path) {
	for _, a := range deprecatedAnnotations {
		if _, ok := annotations[a.key]; ok {
			w.add(p.Key(a.key), "%s", a.why)
		}
	}
}

func (w *warnings) volumes(volumes []corev1.Volume, p *field.Path) {
	for i, v := range volumes {
		for _, old := range []struct {
			is         bool
			field, why string
		}{
			{v.PhotonPersistentDisk != nil, "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"},
			{v.GitRepo != nil, "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"},
			{v.ScaleIO != nil, "scaleIO", "deprecated in v1.16, non-functional in v1.22+"},
			{v.Flocker != nil, "flocker", "deprecated in v1.22, non-functional in v1.25+"},
			{v.StorageOS != nil, "storageOS", "deprecated in v1.22, non-functional in v1.25+"},
			{v.Quobyte != nil, "quobyte", "deprecated in v1.22, non-functional in v1.25+"},
			{v.Glusterfs != nil, "glusterfs", "deprecated in v1.25, non-functional in v1.26+"},
			{v.CephFS != nil, "cephfs", "deprecated in v1.28, non-functional in v1.31+"},
			{v.RBD != nil, "rbd", "deprecated in v1.28, non-functional in v1.31+"},
		} {
			if old.is {
				w.add(p.Index(i).Child(old.field), "%s", old.why)
			}
		}
		w.claimed(v, p.Index(i))
		w.made(v)
	}
}

// twice tells of what lists have twice: which of the two counts is not obvious.
func (w *warnings) twice(s *corev1.PodSpec, p *field.Path) {
	seen := sets.New[string]()
	for i, alias := range s.HostAliases {
		if seen.Has(alias.IP) {
			w.add(p.Child("hostAliases").Index(i).Child("ip"), "duplicate ip %q", alias.IP)
		}
		seen.Insert(alias.IP)
	}
	seen = sets.New[string]()
	for i, secret := range s.ImagePullSecrets {
		if seen.Has(secret.Name) {
			w.add(p.Child("imagePullSecrets").Index(i).Child("name"), "duplicate name %q", secret.Name)
		}
		seen.Insert(secret.Name)
	}
	for i, secret := range s.ImagePullSecrets {
		if secret.Name == "" {
			w.add(p.Child("imagePullSecrets").Index(i).Child("name"), "invalid empty name %q", secret.Name)
		}
	}
}

func (w *warnings) fractions(list corev1.ResourceList, p *field.Path) {
	w.fraction(list, corev1.ResourceMemory, p)
	w.fraction(list, corev1.ResourceEphemeralStorage, p)
}

func (w *warnings) fraction(list corev1.ResourceList, name corev1.ResourceName, p *field.Path) {
	if q, ok := list[name]; ok && q.MilliValue()%1000 != 0 {
		w.add(p.Key(string(name)), "fractional byte value %q is invalid, must be an integer", q.String())
	}
}

// seccomp tells of profiles that stand where nobody looks any more.
func (w *warnings) seccomp(s *corev1.PodSpec, m *metav1.ObjectMeta, p *field.Path) {
	const why = `non-functional in v1.27+; use the "seccompProfile" field instead`
	check := func(key string, has bool) {
		if _, annotated := m.Annotations[key]; annotated && !has {
			w.add(p.Child("metadata", "annotations").Key(key), why)
		}
	}
	check(corev1.SeccompPodAnnotationKey, s.SecurityContext != nil && s.SecurityContext.SeccompProfile != nil)
	for _, c := range containersOf(s, nil) {
		check(corev1.SeccompContainerAnnotationKeyPrefix+c.Name, c.SecurityContext != nil && c.SecurityContext.SeccompProfile != nil)
	}
}

// env tells of a variable that hides another, unless it extends it: PATH=$(PATH):/x.
func (w *warnings) env(vars []corev1.EnvVar, p *field.Path) {
	seen := sets.New[string]()
	for i, v := range vars {
		itself := "$(" + v.Name + ")"
		extends := v.ValueFrom == nil && v.Value != itself && strings.Contains(v.Value, itself)
		if seen.Has(v.Name) && !extends {
			w.add(p.Index(i), "hides previous definition of %q, which may be dropped when using apply", v.Name)
		}
		seen.Insert(v.Name)
	}
}

type portAt struct {
	corev1.ContainerPort
	path *field.Path
}

// ports tells of ports of several containers that are one and the same.
func (w *warnings) ports(all []containerAt) {
	before := map[string][]portAt{}
	for _, c := range all {
		for i, port := range c.Ports {
			at := c.path.Child("ports").Index(i)
			if port.HostIP != "" && port.HostPort == 0 {
				w.add(at, "hostIP set without hostPort: %+v", port)
			}
			key := fmt.Sprintf("%d/%s", port.ContainerPort, port.Protocol)
			for _, other := range before[key] {
				if how := overlap(port, other.ContainerPort); how != "" {
					w.add(at, "%s port definition with %s", how, other.path)
				}
			}
			before[key] = append(before[key], portAt{port, at})
		}
	}
}

func overlap(a, b corev1.ContainerPort) string {
	switch {
	case a.HostIP == b.HostIP && a.HostPort == b.HostPort:
		return "duplicate"
	case a.HostPort == 0 || b.HostPort == 0:
		return "overlapping"
	case a.HostPort == b.HostPort && (a.HostIP == "") != (b.HostIP == ""):
		return "dangerously ambiguous"
	}
	return ""
}

func (w *warnings) portNames(all []containerAt) {
	first := map[string]*field.Path{}
	for _, c := range all {
		for i, port := range c.Ports {
			at := c.path.Child("ports").Index(i)
			if other, taken := first[port.Name]; taken && port.Name != "" {
				w.add(at, "duplicate port name %q with %s, services and probes that select ports by name will use %s", port.Name, other, other)
			} else {
				first[port.Name] = at
			}
		}
	}
}

// selectors tells of terms that are about no pod at all.
func (w *warnings) selectors(a *corev1.Affinity, p *field.Path) {
	terms := func(must []corev1.PodAffinityTerm, should []corev1.WeightedPodAffinityTerm, p *field.Path) {
		for i, t := range must {
			w.selector(t.LabelSelector, p.Child("requiredDuringSchedulingIgnoredDuringExecution").Index(i))
		}
		for i, t := range should {
			w.selector(t.PodAffinityTerm.LabelSelector, p.Child("preferredDuringSchedulingIgnoredDuringExecution").Index(i).Child("podAffinityTerm"))
		}
	}
	if a != nil && a.PodAffinity != nil {
		terms(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution, p.Child("podAffinity"))
	}
	if a != nil && a.PodAntiAffinity != nil {
		terms(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution, p.Child("podAntiAffinity"))
	}
}

func (w *warnings) selector(s *metav1.LabelSelector, p *field.Path) {
	if s == nil {
		w.add(p.Child("labelSelector"), "a null labelSelector results in matching no pod")
	}
}
