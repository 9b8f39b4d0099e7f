package admission

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
)

func TestAPortOfTheNodeIsForOnePod(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	app := func(p corev1.ContainerPort) *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{p}}}}}
	}
	initial := func(policy *corev1.ContainerRestartPolicy) *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{InitContainers: []corev1.Container{
			{RestartPolicy: policy, Ports: []corev1.ContainerPort{{HostPort: 80}}}}}}
	}
	for _, c := range []struct {
		name  string
		taken *corev1.Pod
		pod   *corev1.Pod
		want  bool // refused
	}{
		{"same port", app(corev1.ContainerPort{HostPort: 80}), app(corev1.ContainerPort{HostPort: 80, Protocol: "TCP"}), true},
		{"another port", app(corev1.ContainerPort{HostPort: 80}), app(corev1.ContainerPort{HostPort: 81}), false},
		{"another protocol", app(corev1.ContainerPort{HostPort: 80, Protocol: "UDP"}), app(corev1.ContainerPort{HostPort: 80}), false},
		{"no port of the node", app(corev1.ContainerPort{ContainerPort: 80}), app(corev1.ContainerPort{ContainerPort: 80}), false},
		{"another address", app(corev1.ContainerPort{HostPort: 80, HostIP: "10.0.0.1"}), app(corev1.ContainerPort{HostPort: 80, HostIP: "10.0.0.2"}), false},
		{"one of all addresses", app(corev1.ContainerPort{HostPort: 80, HostIP: "0.0.0.0"}), app(corev1.ContainerPort{HostPort: 80, HostIP: "10.0.0.2"}), true},
		{"a sidecar's", initial(&always), app(corev1.ContainerPort{HostPort: 80}), true},
		{"an init container's, which ends", initial(nil), app(corev1.ContainerPort{HostPort: 80}), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Admit(criconfig.Node{}, 10, c.pod, []*corev1.Pod{c.taken})
			if (got != nil) != c.want || got != nil && got.Reason != "NodePorts" {
				t.Errorf("got %v, want refused: %v", got, c.want)
			}
		})
	}
}
