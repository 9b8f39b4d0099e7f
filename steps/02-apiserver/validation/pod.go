package validation

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/manifest"
)

// Pod checks a new pod: what the kubelet's own package checks of every pod, and
// what only comes by way of the API.
func Pod(p *corev1.Pod) field.ErrorList {
	f := &findings{}
	f.pod(p)
	if len(p.Spec.EphemeralContainers) > 0 {
		f.forbidden(spec.Child("ephemeralContainers"), "cannot be set on create")
	}
	if p.Spec.NodeName != "" && len(p.Spec.SchedulingGates) > 0 {
		f.forbidden(spec.Child("nodeName"), "cannot be set until all schedulingGates have been cleared")
	}
	f.notResized(p.Spec.InitContainers, spec.Child("initContainers"))
	return f.list
}

// pod checks all of a pod, old or new.
func (f *findings) pod(p *corev1.Pod) {
	plain := *p
	plain.Spec.EphemeralContainers, plain.Spec.ImagePullSecrets = nil, nil // an empty name is only warned of
	f.add(manifest.Validate(&plain))
	for i, name := range p.Finalizers {
		f.finalizer(metadata.Child("finalizers").Index(i), name)
	}
	f.podAnnotations(p.Annotations, &p.Spec, metadata.Child("annotations"))
	f.podSpec(&p.Spec, spec)
	f.claimNames(p, spec.Child("volumes"))
}

// podSpec checks what the kubelet's package leaves to others.
func (f *findings) podSpec(s *corev1.PodSpec, p *field.Path) {
	f.affinity(s.Affinity, p.Child("affinity"))
	f.spread(s.TopologySpreadConstraints, p.Child("topologySpreadConstraints"))
	f.gates(s.SchedulingGates, p.Child("schedulingGates"))
	f.preemption(s.PreemptionPolicy, p.Child("preemptionPolicy"))
	f.overhead(s.Overhead, p.Child("overhead"))
	f.ephemeral(s, p.Child("ephemeralContainers"))
	f.podResources(s, p.Child("resources"))
	f.hostnameOverride(s, p.Child("hostnameOverride"))
	f.claims(s, p)
	if sc := s.SecurityContext; sc != nil && sc.SELinuxChangePolicy != nil {
		someOf(f, p.Child("securityContext", "seLinuxChangePolicy"), *sc.SELinuxChangePolicy, corev1.SELinuxChangePolicyMountOption, corev1.SELinuxChangePolicyRecursive)
	}
	f.os(s, p)
	f.volumes(s.Volumes, p.Child("volumes"))
	for _, c := range containersOf(s, p) {
		f.devices(c.container, s.Volumes, c.path.Child("volumeDevices"))
		f.fileKeys(c.container.Env, s.Volumes, c.path.Child("env"))
		f.resizePolicy(c.container.ResizePolicy, s.RestartPolicy, c.path.Child("resizePolicy"))
	}
}

type containerAt struct {
	container *corev1.Container
	path      *field.Path
}

// containersOf returns the containers that start by themselves.
func containersOf(s *corev1.PodSpec, p *field.Path) (all []containerAt) {
	for i := range s.InitContainers {
		all = append(all, containerAt{&s.InitContainers[i], p.Child("initContainers").Index(i)})
	}
	for i := range s.Containers {
		all = append(all, containerAt{&s.Containers[i], p.Child("containers").Index(i)})
	}
	return all
}

func (f *findings) gates(gates []corev1.PodSchedulingGate, p *field.Path) {
	for i, g := range gates {
		f.qualified(p.Index(i), g.Name)
		if slices.Contains(gates[:i], g) {
			f.duplicate(p.Index(i), g.Name)
		}
	}
}

const maxHostname = 64 // of the kernel: __NEW_UTS_LEN

func (f *findings) hostnameOverride(s *corev1.PodSpec, p *field.Path) {
	if s.HostnameOverride == nil {
		return
	}
	if isTrue(s.SetHostnameAsFQDN) {
		f.forbidden(p, "may not be specified when setHostnameAsFQDN is true")
	}
	if s.HostNetwork {
		f.forbidden(p, "may not be specified when hostNetwork is true")
	}
	if len(*s.HostnameOverride) > maxHostname {
		f.list = append(f.list, field.TooLong(p, "", maxHostname))
	}
	f.invalid(p, *s.HostnameOverride, validation.IsDNS1123Subdomain(*s.HostnameOverride)...)
}

func (f *findings) resizePolicy(list []corev1.ContainerResizePolicy, restart corev1.RestartPolicy, p *field.Path) {
	seen := sets.New[corev1.ResourceName]()
	for i, r := range list {
		if seen.Has(r.ResourceName) {
			f.duplicate(p.Index(i), r.ResourceName)
		}
		seen.Insert(r.ResourceName)
		oneOf(f, p, r.ResourceName, corev1.ResourceCPU, corev1.ResourceMemory)
		oneOf(f, p, r.RestartPolicy, corev1.NotRequired, corev1.RestartContainer)
		if restart == corev1.RestartPolicyNever && r.RestartPolicy != corev1.NotRequired {
			f.invalid(p, r.RestartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'")
		}
	}
}

// notResized: an init container that ends is not started again to be resized. Old pods
// may say so.
func (f *findings) notResized(init []corev1.Container, p *field.Path) {
	for i, c := range init {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			continue
		}
		for j, r := range c.ResizePolicy {
			if r.RestartPolicy == corev1.RestartContainer {
				f.invalid(p.Index(i).Child("resizePolicy").Index(j).Child("restartPolicy"), r.RestartPolicy,
					"must not be set to 'RestartContainer' for non-sidecar initContainers")
			}
		}
	}
}

// claims checks that containers only use claims of the pod.
func (f *findings) claims(s *corev1.PodSpec, p *field.Path) {
	names := sets.New[string]()
	for i, c := range s.ResourceClaims {
		at := p.Child("resourceClaims").Index(i)
		f.claim(c, names, at)
		names.Insert(c.Name)
	}
	for _, c := range containersOf(s, p) {
		f.usedClaims(c.container.Resources.Claims, names, c.path.Child("resources", "claims"))
	}
}

func (f *findings) usedClaims(used []corev1.ResourceClaim, names sets.Set[string], p *field.Path) {
	seen := sets.New[corev1.ResourceClaim]()
	for i, c := range used {
		switch {
		case c.Name == "":
			f.required(p.Index(i), "")
			continue
		case seen.Has(c):
			f.duplicate(p.Index(i), c.Name)
		}
		seen.Insert(c)
		if !names.Has(c.Name) {
			e := field.NotFound(p.Index(i), c.Name)
			e.Detail = "must be one of the names in pod.spec.resourceClaims" + listed(sets.List(names))
			f.list = append(f.list, e)
		}
	}
}

func listed(names []string) string {
	if len(names) == 0 {
		return " which is empty"
	}
	return ": " + strings.Join(names, ", ")
}

func (f *findings) claim(c corev1.PodResourceClaim, taken sets.Set[string], p *field.Path) {
	if c.Name == "" {
		f.required(p.Child("name"), "")
	} else if taken.Has(c.Name) {
		f.duplicate(p.Child("name"), c.Name)
	} else {
		f.label(p.Child("name"), c.Name)
	}
	switch {
	case c.ResourceClaimName != nil && c.ResourceClaimTemplateName != nil:
		f.invalid(p, inside{c}, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified")
	case c.ResourceClaimName == nil && c.ResourceClaimTemplateName == nil:
		f.invalid(p, inside{c}, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`")
	}
	for name, value := range map[string]*string{"resourceClaimName": c.ResourceClaimName, "resourceClaimTemplateName": c.ResourceClaimTemplateName} {
		if value != nil {
			f.subdomain(p.Child(name), *value)
		}
	}
}

// podAnnotations checks the annotations that mean something.
func (f *findings) podAnnotations(annotations map[string]string, s *corev1.PodSpec, p *field.Path) {
	if mirror, is := annotations[corev1.MirrorPodAnnotationKey]; is && s.NodeName == "" {
		f.invalid(p.Key(corev1.MirrorPodAnnotationKey), mirror, "must set spec.nodeName if mirror pod annotation is set")
	}
	if cost, has := annotations[corev1.PodDeletionCost]; has && !isCost(cost) {
		f.invalid(p.Key(corev1.PodDeletionCost), cost, "must be a 32bit integer")
	}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		f.profileAnnotation(key, annotations[key], s, p)
	}
}

func isCost(s string) bool {
	n, err := strconv.ParseInt(s, 10, 32)
	return err == nil && !strings.HasPrefix(s, "+") && (s == "0" || !strings.HasPrefix(strings.TrimPrefix(s, "-"), "0")) && (n != 0 || s == "0")
}

// profileAnnotation checks annotations that were fields' predecessors.
func (f *findings) profileAnnotation(key, value string, s *corev1.PodSpec, p *field.Path) {
	name, appArmor := strings.CutPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix)
	switch {
	case appArmor:
		if !slices.ContainsFunc(containersOf(s, p), func(c containerAt) bool { return c.container.Name == name }) {
			f.invalid(p.Key(key), name, "container not found")
		}
		if !isAppArmor(value) {
			f.invalid(p.Key(key), value, fmt.Sprintf("invalid AppArmor profile name: %q", value))
		}
	case key == corev1.SeccompPodAnnotationKey, strings.HasPrefix(key, corev1.SeccompContainerAnnotationKeyPrefix):
		if !isSeccomp(value) {
			f.invalid(p.Child(key), value, "must be a valid seccomp profile")
		}
	}
}

func isAppArmor(profile string) bool {
	return profile == "" || profile == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault ||
		profile == corev1.DeprecatedAppArmorBetaProfileNameUnconfined ||
		strings.HasPrefix(profile, corev1.DeprecatedAppArmorBetaProfileNamePrefix)
}

func isSeccomp(profile string) bool {
	return profile == corev1.SeccompProfileRuntimeDefault || profile == corev1.DeprecatedSeccompProfileDockerDefault ||
		profile == corev1.SeccompProfileNameUnconfined || strings.HasPrefix(profile, corev1.SeccompLocalhostProfileNamePrefix)
}
