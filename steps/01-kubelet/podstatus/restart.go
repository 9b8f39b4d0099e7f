package podstatus

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/observed"
)

// IsSidecar reports whether an init container is one that keeps running beside
// the app containers (KEP-753).
func IsSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// RestartsAfter reports whether the container runs again after exiting with
// code. A rule of its own that matches comes first, then its own policy, then
// the pod's (KEP-5307); an init container that succeeded is done in any case.
func RestartsAfter(pod *corev1.Pod, c *corev1.Container, code int32) bool {
	for _, rule := range c.RestartPolicyRules {
		if rule.Action == corev1.ContainerRestartRuleActionRestart && matches(rule.ExitCodes, code) {
			return true
		}
	}
	policy := pod.Spec.RestartPolicy
	if c.RestartPolicy != nil {
		policy = corev1.RestartPolicy(*c.RestartPolicy)
	}
	if isInit(pod, c) && !IsSidecar(c) && policy == corev1.RestartPolicyAlways {
		policy = corev1.RestartPolicyOnFailure
	}
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return code != 0
	}
	return true
}

func matches(rule *corev1.ContainerRestartRuleOnExitCodes, code int32) bool {
	if rule == nil {
		return false
	}
	listed := slices.Contains(rule.Values, code)
	if rule.Operator == corev1.ContainerRestartRuleOnExitCodesOpNotIn {
		return !listed
	}
	return listed
}

func isInit(pod *corev1.Pod, c *corev1.Container) bool {
	return slices.ContainsFunc(pod.Spec.InitContainers, func(i corev1.Container) bool { return i.Name == c.Name })
}

// ShouldStart reports whether a container that is not running has to be started,
// now or after a back-off: it never was, or it may run again. Last is its newest
// attempt, or nil.
func ShouldStart(pod *corev1.Pod, c *corev1.Container, last *observed.Container) bool {
	switch {
	case last == nil, last.State == observed.Created, last.State == observed.Unknown:
		return true
	case last.State == observed.Running:
		return false
	}
	return RestartsAfter(pod, c, last.ExitCode)
}

// Initialized reports whether an app container has been started in the pod's
// present sandbox: the init containers have done their work then, even when the
// runtime has forgotten them.
func Initialized(pod *corev1.Pod, o *observed.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool {
		last := o.Active(c.Name)
		return last != nil && last.State != observed.Created
	})
}
