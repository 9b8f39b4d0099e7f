package manifest

import (
	"fmt"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Validate returns what is wrong with a pod whose defaults are set, as upstream's
// ValidatePodCreate would. What it leaves to others: affinity, topology spread,
// resource claims and Windows, and the sources of volumes that this course has
// not come to; whether a node can honour a field is the kubelet's question.
func Validate(pod *corev1.Pod) field.ErrorList {
	f := &findings{}
	f.add(apivalidation.ValidateObjectMeta(&pod.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata")))
	spec, p := &pod.Spec, field.NewPath("spec")

	volumes := f.volumes(spec.Volumes, p.Child("volumes"))
	f.containers(spec, volumes, p.Child("containers"))
	f.initContainers(spec, volumes, p.Child("initContainers"))
	f.podNetwork(spec, p)
	f.podLife(spec, p)
	f.podSecurity(spec, p)
	f.dnsConfig(spec, p.Child("dnsConfig"))
	f.podNames(spec, p)
	f.tolerations(spec.Tolerations, p.Child("tolerations"))
	f.podOnly(spec, p)
	return f.list
}

// podLife checks what says how long the pod lives, and when it runs again.
func (f *findings) podLife(spec *corev1.PodSpec, p *field.Path) {
	oneOf(f, p.Child("restartPolicy"), spec.RestartPolicy, corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)
	if spec.TerminationGracePeriodSeconds == nil {
		f.required(p.Child("terminationGracePeriodSeconds"), "")
	}
	if d := spec.ActiveDeadlineSeconds; d != nil {
		between(f, p.Child("activeDeadlineSeconds"), *d, 1, math.MaxInt32, validation.InclusiveRangeError(1, math.MaxInt32))
	}
	for i, gate := range spec.ReadinessGates {
		f.add(metavalidation.ValidateLabelName(string(gate.ConditionType), p.Child("readinessGates").Index(i).Child("conditionType")))
	}
}

// podNetwork checks what depends on the pod having the host's network.
func (f *findings) podNetwork(spec *corev1.PodSpec, p *field.Path) {
	for i, c := range spec.Containers {
		for j, port := range c.Ports {
			if spec.HostNetwork && port.HostPort != port.ContainerPort {
				f.invalid(p.Child("containers").Index(i).Child("ports").Index(j).Child("hostPort"), port.HostPort,
					"must match `containerPort` when `hostNetwork` is true")
			}
		}
	}
	oneOf(f, p.Child("dnsPolicy"), spec.DNSPolicy, corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)
}

// podNames checks names, of the pod's host and of other objects.
func (f *findings) podNames(spec *corev1.PodSpec, p *field.Path) {
	f.add(metavalidation.ValidateLabels(spec.NodeSelector, p.Child("nodeSelector")))
	for _, n := range []struct{ field, name string }{{"hostname", spec.Hostname}, {"subdomain", spec.Subdomain}} {
		if n.name != "" {
			f.label(p.Child(n.field), n.name)
		}
	}
	subdomains := []struct{ field, name string }{{"serviceAccountName", spec.ServiceAccountName}, {"nodeName", spec.NodeName},
		{"priorityClassName", spec.PriorityClassName}}
	for _, n := range subdomains {
		if n.name != "" {
			f.invalid(p.Child(n.field), n.name, apivalidation.NameIsDNSSubdomain(n.name, false)...)
		}
	}
	if name := spec.RuntimeClassName; name != nil { // an empty one is a name, too
		f.invalid(p.Child("runtimeClassName"), *name, apivalidation.NameIsDNSSubdomain(*name, false)...)
	}
	for i, alias := range spec.HostAliases {
		at := p.Child("hostAliases").Index(i)
		f.add(validation.IsValidIPForLegacyField(at.Child("ip"), alias.IP, false, nil))
		for j, name := range alias.Hostnames {
			f.invalid(at.Child("hostnames").Index(j), name, validation.IsDNS1123Subdomain(name)...)
		}
	}
	for i, secret := range spec.ImagePullSecrets {
		if secret.Name == "" {
			f.required(p.Child("imagePullSecrets").Index(i).Child("name"), "")
		}
	}
}

// Limits of a resolv.conf, as upstream sets them.
const (
	maxNameservers = 3
	maxSearches    = 32
	maxSearchChars = 2048
)

func (f *findings) dnsConfig(spec *corev1.PodSpec, p *field.Path) {
	conf := spec.DNSConfig
	if spec.DNSPolicy == corev1.DNSNone {
		switch {
		case conf == nil:
			f.required(p, "must provide `dnsConfig` when `dnsPolicy` is None")
		case len(conf.Nameservers) == 0:
			f.required(p.Child("nameservers"), "must provide at least one DNS nameserver when `dnsPolicy` is None")
			return
		}
	}
	if conf == nil {
		return
	}
	if len(conf.Nameservers) > maxNameservers {
		f.invalid(p.Child("nameservers"), conf.Nameservers, fmt.Sprintf("must not have more than %v nameservers", maxNameservers))
	}
	for i, server := range conf.Nameservers {
		f.add(validation.IsValidIPForLegacyField(p.Child("nameservers").Index(i), server, false, nil))
	}
	searches := p.Child("searches")
	if len(conf.Searches) > maxSearches {
		f.invalid(searches, conf.Searches, fmt.Sprintf("must not have more than %v search paths", maxSearches))
	}
	if len(strings.Join(conf.Searches, " ")) > maxSearchChars {
		f.invalid(searches, conf.Searches, fmt.Sprintf("must not have more than %v characters (including spaces) in the search list", maxSearchChars))
	}
	for i, search := range conf.Searches {
		if name := strings.TrimSuffix(search, "."); search != "." {
			f.invalid(searches.Index(i), name, validation.IsDNS1123SubdomainWithUnderscore(name)...)
		}
	}
	for i, option := range conf.Options {
		if option.Name == "" {
			f.required(p.Child("options").Index(i), "must not be empty")
		}
	}
}

func (f *findings) tolerations(list []corev1.Toleration, p *field.Path) {
	for i, t := range list {
		at := p.Index(i)
		if t.Key != "" {
			f.add(metavalidation.ValidateLabelName(t.Key, at.Child("key")))
		}
		if t.Key == "" && t.Operator != corev1.TolerationOpExists {
			f.invalid(at.Child("operator"), t.Operator, "operator must be Exists when `key` is empty, which means \"match all values and all keys\"")
		}
		if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
			f.invalid(at.Child("effect"), t.Effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
		}
		switch t.Operator {
		case corev1.TolerationOpEqual, "":
			if bad := validation.IsValidLabelValue(t.Value); len(bad) > 0 {
				f.invalid(at.Child("operator"), t.Value, strings.Join(bad, ";"))
			}
		case corev1.TolerationOpExists:
			if t.Value != "" {
				f.invalid(at.Child("operator"), t.Value, "value must be empty when `operator` is 'Exists'")
			}
		default:
			someOf(f, at.Child("operator"), t.Operator, corev1.TolerationOpEqual, corev1.TolerationOpExists)
		}
		if t.Effect != "" {
			oneOf(f, at.Child("effect"), t.Effect, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)
		}
	}
}

// podOnly checks what upstream checks of pods and not of templates of pods.
func (f *findings) podOnly(spec *corev1.PodSpec, p *field.Path) {
	for i, v := range spec.Volumes {
		if v.Projected == nil || spec.ServiceAccountName != "" {
			continue
		}
		for j, source := range v.Projected.Sources {
			if source.ServiceAccountToken != nil {
				f.forbidden(p.Child("volumes").Index(i).Child("projected", "sources").Index(j).Child("serviceAccountToken"),
					"must not be specified when serviceAccountName is not set")
			}
		}
	}
	if g := spec.TerminationGracePeriodSeconds; g != nil {
		f.atLeastZero(p.Child("terminationGracePeriodSeconds"), *g)
	}
	for _, list := range []struct {
		field      string
		containers []corev1.Container
	}{{"containers", spec.Containers}, {"initContainers", spec.InitContainers}} {
		for i, c := range list.containers {
			if c.Image != strings.TrimSpace(c.Image) {
				f.invalid(p.Child(list.field).Index(i).Child("image"), c.Image, "must not have leading or trailing whitespace")
			}
		}
	}
	if len(spec.EphemeralContainers) > 0 {
		f.forbidden(p.Child("ephemeralContainers"), "cannot be set on create")
	}
}

// ValidateStatic returns why a pod can't be a static one: no API server stands
// between it and the kubelet, so it may refer to no object of the API.
func ValidateStatic(pod *corev1.Pod) field.ErrorList {
	f, p := &findings{}, field.NewPath("spec")
	refuse := func(at *field.Path, what string) { f.forbidden(at, "static pods may not reference "+what) }
	if pod.Spec.ServiceAccountName != "" {
		refuse(p.Child("serviceAccountName"), "serviceaccounts")
	}
	if len(pod.Spec.ImagePullSecrets) > 0 {
		refuse(p.Child("imagePullSecrets"), "secrets")
	}
	if len(pod.Spec.ResourceClaims) > 0 {
		refuse(p.Child("resourceClaims"), "resourceclaims")
	}
	for i, v := range pod.Spec.Volumes {
		if what := apiObject(v); what != "" {
			refuse(p.Child("volumes").Index(i), what)
		}
	}
	for _, list := range []struct {
		field      string
		containers []corev1.Container
	}{{"initContainers", pod.Spec.InitContainers}, {"containers", pod.Spec.Containers}} {
		for i, c := range list.containers {
			staticEnv(refuse, c, p.Child(list.field).Index(i))
		}
	}
	return f.list
}

func staticEnv(refuse func(*field.Path, string), c corev1.Container, p *field.Path) {
	for i, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			refuse(p.Child("env").Index(i).Child("valueFrom", "secretKeyRef"), "secrets")
		}
		if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil {
			refuse(p.Child("env").Index(i).Child("valueFrom", "configMapKeyRef"), "configmaps")
		}
	}
	for i, e := range c.EnvFrom {
		if e.SecretRef != nil {
			refuse(p.Child("envFrom").Index(i).Child("secretRef"), "secrets")
		}
		if e.ConfigMapRef != nil {
			refuse(p.Child("envFrom").Index(i).Child("configMapRef"), "configmaps")
		}
	}
}

// apiObject names the kind of object that a volume needs from the API, or "".
func apiObject(v corev1.Volume) string {
	switch {
	case v.ConfigMap != nil:
		return "configmaps (via configmap volumes)"
	case v.Secret != nil:
		return "secrets (via secret volumes)"
	case v.CSI != nil:
		return "csidrivers (via CSI volumes)"
	case v.PersistentVolumeClaim != nil:
		return "persistentvolumeclaims"
	case v.Ephemeral != nil:
		return "persistentvolumeclaims (via ephemeral volumes)"
	case v.Projected == nil:
		return ""
	}
	i := slices.IndexFunc(v.Projected.Sources, func(s corev1.VolumeProjection) bool { return s.DownwardAPI == nil })
	if i < 0 {
		return ""
	}
	switch s := v.Projected.Sources[i]; {
	case s.ConfigMap != nil:
		return "configmaps (via projected volumes)"
	case s.Secret != nil:
		return "secrets (via projected volumes)"
	case s.ServiceAccountToken != nil:
		return "serviceaccounts (via projected volumes)"
	}
	return "objects of the API (via projected volumes)"
}
