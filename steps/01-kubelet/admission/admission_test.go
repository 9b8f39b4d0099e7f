package admission

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
)

func pod(cpu, memory string) *corev1.Pod {
	p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}}}}
	p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{}
	for name, q := range map[corev1.ResourceName]string{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory} {
		if q != "" {
			p.Spec.Containers[0].Resources.Requests[name] = resource.MustParse(q)
		}
	}
	return p
}

func TestAdmit(t *testing.T) {
	node := criconfig.Node{Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("1Gi")}}
	full := []*corev1.Pod{pod("1500m", "512Mi"), pod("", "")}
	for _, c := range []struct {
		name string
		pod  *corev1.Pod
		max  int
		want string
	}{
		{"fits", pod("500m", "512Mi"), 10, ""},
		{"asks for nothing", pod("", ""), 10, ""},
		{"too much CPU", pod("501m", ""), 10, "OutOfcpu: Node didn't have enough resource: cpu, requested: 501, used: 1500, capacity: 2000"},
		{"too much memory", pod("", "513Mi"), 10, "OutOfmemory: Node didn't have enough resource: memory, requested: 537919488, used: 536870912, capacity: 1073741824"},
		{"too many pods", pod("", ""), 2, "OutOfpods: Node didn't have enough resource: pods, requested: 1, used: 2, capacity: 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if r := Admit(node, c.max, c.pod, full); r != nil {
				got = r.Reason + ": " + r.Message
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// A device that the node has is counted; one that it does not know is somebody else's.
func TestRoomForDevices(t *testing.T) {
	with := func(name corev1.ResourceName, n string) *corev1.Pod {
		p := pod("", "")
		p.Spec.Containers[0].Resources.Requests[name] = resource.MustParse(n)
		return p
	}
	allocatable := corev1.ResourceList{"example.com/gpu": resource.MustParse("2"), corev1.ResourceEphemeralStorage: resource.MustParse("1Gi")}
	for _, c := range []struct {
		name corev1.ResourceName
		n    string
		want string
	}{
		{"example.com/gpu", "1", ""},
		{"example.com/gpu", "2", "OutOfexample.com/gpu"},
		{"example.com/fpga", "1", ""},
		{corev1.ResourceEphemeralStorage, "2Gi", "OutOfephemeral-storage"},
	} {
		got := ""
		if r := Room(allocatable, 10, with(c.name, c.n), []*corev1.Pod{with("example.com/gpu", "1")}); r != nil {
			got = r.Reason
		}
		if got != c.want {
			t.Errorf("%s of %s: got %q, want %q", c.n, c.name, got, c.want)
		}
	}
}

func TestRestartAllContainersIsRefused(t *testing.T) {
	p := pod("", "")
	p.Spec.Containers[0].RestartPolicyRules = []corev1.ContainerRestartRule{{Action: corev1.ContainerRestartRuleActionRestartAllContainers}}
	if r := Admit(criconfig.Node{}, 10, p, nil); r == nil || r.Reason != "UnsupportedField" {
		t.Errorf("got %v", r)
	}
}

func TestWarningsAreAboutWhatTheAuthorWrote(t *testing.T) {
	p := pod("", "")
	yes := true
	p.Spec.EnableServiceLinks = &yes                                                                                     // a default
	p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}} // every static pod's
	if got := Warnings(criconfig.Node{}, p); got != "" {
		t.Errorf("got %q of a pod that asks for nothing", got)
	}
	p.Spec.NodeSelector = map[string]string{"disk": "ssd"}
	if got := Warnings(criconfig.Node{}, p); !strings.HasPrefix(got, "spec.nodeSelector ") || strings.Contains(got, "\n") {
		t.Errorf("got %q, want one line about spec.nodeSelector", got)
	}
}
