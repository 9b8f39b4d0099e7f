package rows

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestQOSClass(t *testing.T) {
	list := func(pairs ...string) corev1.ResourceList {
		l := corev1.ResourceList{}
		for i := 0; i < len(pairs); i += 2 {
			l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
		}
		return l
	}
	same := func(pairs ...string) corev1.ResourceRequirements {
		return corev1.ResourceRequirements{Requests: list(pairs...), Limits: list(pairs...)}
	}
	nothing, all, half := corev1.ResourceRequirements{}, same("cpu", "1", "memory", "1Gi"), same("cpu", "1")
	disk, asks := same("ephemeral-storage", "1Gi"), corev1.ResourceRequirements{Requests: list("cpu", "1")}
	for _, test := range []struct {
		name       string
		whole      *corev1.ResourceRequirements
		init, main []corev1.ResourceRequirements
		want       corev1.PodQOSClass
	}{
		{"nothing", nil, nil, []corev1.ResourceRequirements{nothing}, corev1.PodQOSBestEffort},
		{"everything", nil, nil, []corev1.ResourceRequirements{all, all}, corev1.PodQOSGuaranteed},
		{"one of two", nil, nil, []corev1.ResourceRequirements{all, nothing}, corev1.PodQOSBurstable},
		{"processors only", nil, nil, []corev1.ResourceRequirements{half}, corev1.PodQOSBurstable},
		{"requests only", nil, nil, []corev1.ResourceRequirements{asks}, corev1.PodQOSBurstable},
		{"a disk does not count", nil, nil, []corev1.ResourceRequirements{disk}, corev1.PodQOSBestEffort},
		{"an init container counts", nil, []corev1.ResourceRequirements{nothing}, []corev1.ResourceRequirements{all}, corev1.PodQOSBurstable},
		{"the pod as a whole", &all, nil, []corev1.ResourceRequirements{nothing}, corev1.PodQOSGuaranteed},
		{"a whole that says nothing", &corev1.ResourceRequirements{}, nil, []corev1.ResourceRequirements{asks}, corev1.PodQOSBurstable},
		{"no containers", nil, nil, nil, corev1.PodQOSBestEffort},
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Resources: test.whole}}
		for _, r := range test.init {
			pod.Spec.InitContainers = append(pod.Spec.InitContainers, corev1.Container{Resources: r})
		}
		for _, r := range test.main {
			pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Resources: r})
		}
		if got := qosClass(pod); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}
