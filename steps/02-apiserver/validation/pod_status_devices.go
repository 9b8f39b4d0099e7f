package validation

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// claimStatuses are what has become of the claims of a pod.
func (f *findings) claimStatuses(statuses []corev1.PodResourceClaimStatus, claims []corev1.PodResourceClaim, p *field.Path) {
	seen := sets.New[string]()
	for i, s := range statuses {
		at := p.Index(i)
		if !slices.ContainsFunc(claims, func(c corev1.PodResourceClaim) bool { return c.Name == s.Name }) {
			f.invalid(at.Child("name"), s.Name, "must match the name of an entry in `spec.resourceClaims`")
		}
		if seen.Has(s.Name) {
			f.duplicate(at.Child("name"), s.Name)
		}
		seen.Insert(s.Name)
		if name := s.ResourceClaimName; name != nil {
			f.subdomain(at.Child("resourceClaimName"), *name)
		}
	}
}

// extendedClaim is the claim that stands for the extended resources which containers ask for.
func (f *findings) extendedClaim(s *corev1.PodExtendedResourceClaimStatus, spec *corev1.PodSpec, p *field.Path) {
	if s == nil {
		return
	}
	if len(s.RequestMappings) == 0 {
		f.required(p.Child("requestMappings"), "at least one request mapping is required")
	}
	containers := slices.Concat(spec.Containers, spec.InitContainers)
	seen := sets.New[corev1.ContainerExtendedResourceRequest]()
	for i, m := range s.RequestMappings {
		at := p.Child("requestMappings").Index(i)
		if c := containerOf(containers, m.ContainerName); c == nil {
			f.invalid(at.Child("containerName"), m.ContainerName, "must match the name of an entry in spec.initContainers.name or spec.containers.name")
		} else if _, asked := c.Resources.Requests[corev1.ResourceName(m.ResourceName)]; !asked {
			f.invalid(at.Child("resourceName"), m.ResourceName,
				"must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests")
		}
		f.label(p.Child("requestName"), m.RequestName)
		if seen.Has(m) {
			f.duplicate(at.Child("containerName"), m.ContainerName)
			f.duplicate(at.Child("resourceName"), m.ResourceName)
			f.duplicate(at.Child("requestName"), m.RequestName)
		}
		seen.Insert(m)
	}
	if s.ResourceClaimName == "" {
		f.required(p.Child("resourceClaimName"), "")
	} else {
		f.subdomain(p.Child("resourceClaimName"), s.ResourceClaimName)
	}
}

func containerOf(containers []corev1.Container, name string) *corev1.Container {
	i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &containers[i]
}

// allocated are the devices that a container has got, and how they are. c is nil if there
// is no such container, which a kubelet may well tell of.
func (f *findings) allocated(statuses []corev1.ResourceStatus, c *corev1.Container, extended *corev1.PodExtendedResourceClaimStatus, p *field.Path) {
	for i, s := range statuses {
		at := p.Index(i)
		if claim, ok := strings.CutPrefix(string(s.Name), "claim:"); c != nil && ok {
			if !claims(c, claim) && !standsFor(extended, c, claim) {
				f.invalid(at.Child("name"), s.Name, "must match one of the container's resource claims as 'claim:<claimName>/<requestName>' "+
					"when container.resources.claims[*].request is set or 'claim:<claimName>' when it is empty")
			}
		} else if c != nil {
			if _, asked := c.Resources.Requests[s.Name]; !asked {
				f.invalid(at.Child("name"), s.Name, "must match one of the container's resource requests")
			}
		}
		seen := sets.New[corev1.ResourceID]()
		for k, r := range s.Resources {
			at := at.Child("resources").Index(k)
			someOf(f, at.Child("health"), r.Health, corev1.ResourceHealthStatusHealthy, corev1.ResourceHealthStatusUnhealthy, corev1.ResourceHealthStatusUnknown)
			if m := r.Message; m != nil && *m == "" {
				f.required(at.Child("message"), "must be non-empty if specified")
			} else if m != nil && len(*m) > corev1.ResourceHealthMessageMaxLength {
				f.list = append(f.list, field.TooLong(at.Child("message"), *m, corev1.ResourceHealthMessageMaxLength))
			}
			if seen.Has(r.ResourceID) {
				f.duplicate(at.Child("resourceID"), r.ResourceID)
			}
			seen.Insert(r.ResourceID)
		}
	}
}

// claims says whether the container has the claim, or the request of a claim: name/request.
func claims(c *corev1.Container, name string) bool {
	return slices.ContainsFunc(c.Resources.Claims, func(claim corev1.ResourceClaim) bool {
		full := claim.Name
		if claim.Request != "" {
			full += "/" + claim.Request
		}
		return full == name
	})
}

// standsFor says whether a request of the extended claim is for something that the container asks for.
func standsFor(s *corev1.PodExtendedResourceClaimStatus, c *corev1.Container, name string) bool {
	claim, request, _ := strings.Cut(name, "/")
	if s == nil || request == "" || claim != s.ResourceClaimName {
		return false
	}
	return slices.ContainsFunc(s.RequestMappings, func(m corev1.ContainerExtendedResourceRequest) bool {
		amount := c.Resources.Requests[corev1.ResourceName(m.ResourceName)]
		return m.ContainerName == c.Name && m.RequestName == request && !amount.IsZero()
	})
}
