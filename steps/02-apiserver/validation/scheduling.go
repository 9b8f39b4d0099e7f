package validation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/manifest"
)

// Lease checks a lease.
func Lease(l *coordinationv1.Lease) field.ErrorList {
	f := &findings{}
	f.add(apivalidation.ValidateObjectMeta(&l.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, metadata)) // not by the rules of core/v1
	f.lease(&l.Spec)
	return f.list
}

// LeaseUpdate checks a change of a lease: anybody may take it who may write it.
func LeaseUpdate(l, old *coordinationv1.Lease) field.ErrorList {
	f := &findings{}
	f.add(apivalidation.ValidateObjectMetaUpdate(&l.ObjectMeta, &old.ObjectMeta, metadata))
	f.lease(&l.Spec)
	return f.list
}

func (f *findings) lease(l *coordinationv1.LeaseSpec) {
	if s := l.LeaseDurationSeconds; s != nil {
		atLeast(f, spec.Child("leaseDurationSeconds"), *s, 1, "must be greater than 0")
	}
	if n := l.LeaseTransitions; n != nil {
		atLeast(f, spec.Child("leaseTransitions"), *n, 0, notNegative)
	}
}

const (
	systemPrefix    = "system-"
	highestOfUsers  = int32(1000000000)
	clusterCritical = 2 * highestOfUsers
	nodeCritical    = clusterCritical + 1000
)

// PriorityClass checks a priority class: the highest priorities are the system's.
func PriorityClass(c *schedulingv1.PriorityClass) field.ErrorList {
	f := &findings{}
	f.clusterMeta(&c.ObjectMeta, apivalidation.NameIsDNSSubdomain)
	switch reserved := strings.HasPrefix(c.Name, systemPrefix); {
	case reserved:
		if why := notOfSystem(c); why != "" {
			f.forbidden(metadata.Child("name"), "priority class names with 'system-' prefix are reserved for system use only. error: "+why)
		}
	case c.Value > highestOfUsers:
		f.forbidden(field.NewPath("value"), fmt.Sprintf("maximum allowed value of a user defined priority is %d", highestOfUsers))
	}
	f.preemption(c.PreemptionPolicy, field.NewPath("preemptionPolicy"))
	return f.list
}

// notOfSystem says how the class differs from the one of that name that every cluster has.
func notOfSystem(c *schedulingv1.PriorityClass) string {
	value, ok := map[string]int32{"system-node-critical": nodeCritical, "system-cluster-critical": clusterCritical}[c.Name]
	switch {
	case !ok:
		return c.Name + " is not a known system priority class"
	case c.Value != value:
		return fmt.Sprintf("value of %s PriorityClass must be %d", c.Name, value)
	case c.GlobalDefault:
		return fmt.Sprintf("globalDefault of %s PriorityClass must be false", c.Name)
	}
	return ""
}

// PriorityClassUpdate holds a class to its value, which pods already have.
func PriorityClassUpdate(c, old *schedulingv1.PriorityClass) field.ErrorList {
	f := &findings{}
	f.metaUpdate(&c.ObjectMeta, &old.ObjectMeta)
	if c.Value != old.Value {
		f.forbidden(field.NewPath("value"), "may not be changed in an update.")
	}
	f.same(field.NewPath("preemptionPolicy"), c.PreemptionPolicy, old.PreemptionPolicy)
	return f.list
}

func (f *findings) preemption(policy *corev1.PreemptionPolicy, p *field.Path) {
	if policy != nil {
		oneOf(f, p, *policy, corev1.PreemptLowerPriority, corev1.PreemptNever)
	}
}

// RuntimeClass checks a runtime class.
func RuntimeClass(c *nodev1.RuntimeClass) field.ErrorList {
	f := &findings{}
	f.runtimeClass(c)
	return f.list
}

func (f *findings) runtimeClass(c *nodev1.RuntimeClass) {
	f.add(apivalidation.ValidateObjectMeta(&c.ObjectMeta, false, apivalidation.NameIsDNSSubdomain, metadata)) // not by the rules of core/v1
	if c.Overhead != nil {
		f.overhead(c.Overhead.PodFixed, field.NewPath("overhead"))
	}
	if c.Scheduling != nil {
		p := field.NewPath("scheduling")
		f.labels(p.Child("nodeSelector"), c.Scheduling.NodeSelector)
		f.classTolerations(c.Scheduling.Tolerations, p.Child("tolerations"))
	}
	if c.Handler == "" {
		f.required(field.NewPath("handler"), "")
	} else {
		f.invalid(field.NewPath("handler"), c.Handler, content.IsDNS1123Label(c.Handler)...)
	}
}

func (f *findings) classTolerations(list []corev1.Toleration, p *field.Path) {
	f.add(tolerations(list, p))
	seen := sets.New[corev1.Toleration]()
	for i, t := range list {
		key := t
		key.TolerationSeconds = nil
		if seen.Has(key) {
			f.duplicate(p.Index(i), inside{t})
		}
		seen.Insert(key)
	}
}

// tolerations asks the kubelet's package, which checks those of pods.
func tolerations(list []corev1.Toleration, p *field.Path) (found field.ErrorList) {
	for _, e := range manifest.Validate(&corev1.Pod{Spec: corev1.PodSpec{Tolerations: list}}) {
		if rest, ok := strings.CutPrefix(e.Field, "spec.tolerations"); ok {
			e.Field = p.String() + rest
			found = append(found, e)
		}
	}
	return found
}

// overhead checks what a pod of a class needs besides its containers.
func (f *findings) overhead(list corev1.ResourceList, p *field.Path) {
	for _, name := range slices.Sorted(maps.Keys(list)) {
		at := p.Child("limits").Key(string(name))
		f.containerResource(name, at)
		f.quantity(name, list[name], at)
		f.pages(name, list[name], at)
	}
	huge := func(name corev1.ResourceName) bool {
		return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
	}
	_, cpu := list[corev1.ResourceCPU]
	_, memory := list[corev1.ResourceMemory]
	if !cpu && !memory && slices.ContainsFunc(slices.Collect(maps.Keys(list)), huge) {
		f.forbidden(p, "HugePages require cpu or memory")
	}
}

// pages wants whole ones of what is counted in huge pages.
func (f *findings) pages(name corev1.ResourceName, q resource.Quantity, p *field.Path) {
	size, huge := strings.CutPrefix(string(name), corev1.ResourceHugePagesPrefix)
	if !huge {
		return
	}
	if page, err := resource.ParseQuantity(size); err == nil && page.Value() > 0 && q.Value()%page.Value() != 0 {
		f.invalid(p, q.String(), fmt.Sprintf("%s is not positive integer multiple of %s", q.String(), name))
	}
}

// RuntimeClassUpdate holds a class to its handler.
func RuntimeClassUpdate(c, old *nodev1.RuntimeClass) field.ErrorList {
	f := &findings{}
	f.runtimeClass(c)
	f.add(apivalidation.ValidateObjectMetaUpdate(&c.ObjectMeta, &old.ObjectMeta, metadata))
	f.same(field.NewPath("handler"), c.Handler, old.Handler)
	return f.list
}

// Binding checks where a pod is to run.
func Binding(b *corev1.Binding) field.ErrorList {
	f := &findings{}
	p, target := field.NewPath("target"), b.Target
	node := target.Kind == "" || target.Kind == "Node"
	if !node {
		f.list = append(f.list, field.NotSupported(p.Child("kind"), target.Kind, []string{"Node", "<empty>"}))
	}
	if target.Name == "" {
		f.required(p.Child("name"), "")
	} else if node {
		f.subdomain(p.Child("name"), target.Name)
	}
	return f.list
}
