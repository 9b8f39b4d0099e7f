package validation

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodResize checks a change of a pod's resources. class is the quality of service
// of what was asked for.
func PodResize(p, old *corev1.Pod, class func(*corev1.Pod) corev1.PodQOSClass) field.ErrorList {
	if _, mirror := old.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "static pods cannot be resized")}
	}
	if old.Spec.OS != nil && old.Spec.OS.Name == corev1.Windows {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "windows pods cannot be resized")}
	}
	f := &findings{}
	f.metaUpdate(&p.ObjectMeta, &old.ObjectMeta)
	f.pod(p)
	if old.Status.QOSClass != class(p) {
		f.invalid(spec, p.Status.QOSClass, "Pod QOS Class may not change as a result of resizing")
	}
	if !resizable(&old.Status) {
		f.forbidden(spec, "Pod running on node without support for resize")
	}
	main := f.sameOrder(p.Spec.Containers, old.Spec.Containers, "containers")
	init := f.sameOrder(p.Spec.InitContainers, old.Spec.InitContainers, "initContainers")
	if main && init {
		f.resizes(p, old)
	}
	return f.list
}

// resizable: a node that tells the resources of a running container can change them.
func resizable(s *corev1.PodStatus) bool {
	i := slices.IndexFunc(s.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.State.Running != nil })
	return i < 0 || s.ContainerStatuses[i].Resources != nil
}

func (f *findings) sameOrder(now, old []corev1.Container, name string) bool {
	p := spec.Child(name)
	if len(now) != len(old) {
		f.forbidden(p, name+" may not be added or removed on resize")
		return false
	}
	same := true
	for i := range now {
		if now[i].Name != old[i].Name {
			f.forbidden(p.Index(i).Child("name"), name+" may not be renamed or reordered on resize")
			same = false
		}
	}
	return same
}

func (f *findings) resizes(p, old *corev1.Pod) {
	if r, was := p.Spec.Resources, old.Spec.Resources; r != nil && was != nil {
		if removed(r.Requests, was.Requests) {
			f.forbidden(spec.Child("resources", "requests"), "pod-level resource requests cannot be removed")
		}
		if removed(r.Limits, was.Limits) {
			f.forbidden(spec.Child("resources", "limits"), "pod-level resource limits cannot be removed")
		}
	}
	now, before := containersOf(&p.Spec, spec), containersOf(&old.Spec, spec)
	for i, c := range now {
		was := before[i].container
		at := c.path.Child("resources")
		if removed(c.container.Resources.Requests, was.Resources.Requests) {
			f.forbidden(at.Child("requests"), "resource requests cannot be removed")
		}
		if removed(c.container.Resources.Limits, was.Resources.Limits) {
			f.forbidden(at.Child("limits"), "resource limits cannot be removed")
		}
	}
	for i, c := range now {
		f.resized(c, before[i].container, i < len(p.Spec.InitContainers))
	}
}

// resized wants nothing else to have changed than CPU and memory. An init
// container that could only be resized by starting it again can't be.
func (f *findings) resized(c containerAt, was *corev1.Container, init bool) {
	same := equality.Semantic.DeepEqual(withSizeOf(*c.container, was), *was)
	switch {
	case !init && !same:
		f.forbidden(spec, "only cpu and memory resources are mutable")
	case init && !same:
		f.forbidden(c.path, "only cpu and memory resources for init or sidecar containers are mutable")
	}
	sidecar := c.container.RestartPolicy != nil && *c.container.RestartPolicy == corev1.ContainerRestartPolicyAlways
	if !init || sidecar || equality.Semantic.DeepEqual(*c.container, *was) {
		return
	}
	for _, policy := range c.container.ResizePolicy {
		if policy.RestartPolicy == corev1.RestartContainer {
			f.forbidden(c.path, "non-sidecar init containers with a resize policy of RestartContainer cannot be resized")
		}
	}
}

// removed: something that was there is no more.
func removed(now, old corev1.ResourceList) bool {
	for name := range old {
		if _, ok := now[name]; !ok {
			return true
		}
	}
	return false
}

// withSizeOf is the container with the CPU and memory of the other.
func withSizeOf(c corev1.Container, other *corev1.Container) corev1.Container {
	c.Resources.Limits = sized(c.Resources.Limits, other.Resources.Limits)
	c.Resources.Requests = sized(c.Resources.Requests, other.Resources.Requests)
	return c
}

func sized(list, other corev1.ResourceList) corev1.ResourceList {
	out := list.DeepCopy()
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		delete(out, name)
		if q, ok := other[name]; ok {
			if out == nil {
				out = corev1.ResourceList{}
			}
			out[name] = q
		}
	}
	return out
}
