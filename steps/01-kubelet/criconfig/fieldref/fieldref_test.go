package fieldref

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func pod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web", Namespace: "shop", UID: "1234",
			Labels:      map[string]string{"app": "web", "tier": `front "end"`},
			Annotations: map[string]string{"multi": "a\nb", "example.com/x": "y"},
		},
		Spec: corev1.PodSpec{
			ServiceAccountName: "builder",
			InitContainers:     []corev1.Container{{Name: "init"}},
			Containers: []corev1.Container{{Name: "main", Resources: corev1.ResourceRequirements{
				Limits: corev1.ResourceList{"cpu": resource.MustParse("1500m"), "memory": resource.MustParse("100Mi")},
				Requests: corev1.ResourceList{
					"cpu": resource.MustParse("250m"), "hugepages-2Mi": resource.MustParse("4Mi"),
				},
			}}},
		},
	}
}

func TestFields(t *testing.T) {
	r := Runtime{NodeName: "node-1", HostIPs: []string{"10.0.0.1", "fd00::1"}, PodIPs: []string{"10.1.0.2", "fd01::2"}}
	variable := func(path string) (string, error) { return r.Variable(pod(), path) }
	file := func(path string) (string, error) { return File(pod(), path) }
	for _, tt := range []struct {
		name string
		get  func(string) (string, error)
		path string
		want string // "error: …" for an error
	}{
		{"name", variable, "metadata.name", "web"},
		{"namespace", variable, "metadata.namespace", "shop"},
		{"uid", variable, "metadata.uid", "1234"},
		{"label", variable, "metadata.labels['app']", "web"},
		{"absent label", variable, "metadata.labels['no']", ""},
		{"annotation", variable, "metadata.annotations['example.com/x']", "y"},
		{"node", variable, "spec.nodeName", "node-1"},
		{"service account", variable, "spec.serviceAccountName", "builder"},
		{"host ip", variable, "status.hostIP", "10.0.0.1"},
		{"host ips", variable, "status.hostIPs", "10.0.0.1,fd00::1"},
		{"pod ip", variable, "status.podIP", "10.1.0.2"},
		{"pod ips", variable, "status.podIPs", "10.1.0.2,fd01::2"},
		{"all labels in a variable", variable, "metadata.labels", "error: unsupported fieldPath: metadata.labels"},
		{"unknown", variable, "spec.restartPolicy", "error: unsupported fieldPath: spec.restartPolicy"},
		{"no subscript", variable, "metadata.name['x']", `error: fieldPath "metadata.name['x']" does not support subscript`},
		{"all labels", file, "metadata.labels", "app=\"web\"\ntier=\"front \\\"end\\\"\""},
		{"all annotations", file, "metadata.annotations", "example.com/x=\"y\"\nmulti=\"a\\nb\""},
		{"one annotation", file, "metadata.annotations['multi']", "a\nb"},
		{"address in a file", file, "status.podIP", "error: unsupported fieldPath: status.podIP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.get(tt.path)
			if err != nil {
				got = "error: " + err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestResource(t *testing.T) {
	allocatable := corev1.ResourceList{
		"cpu": resource.MustParse("4"), "memory": resource.MustParse("8Gi"), "ephemeral-storage": resource.MustParse("1Gi"),
	}
	for _, tt := range []struct{ container, resource, divisor, want string }{
		{"", "limits.cpu", "", "2"},
		{"", "limits.cpu", "1m", "1500"},
		{"", "requests.cpu", "1", "1"},
		{"", "requests.cpu", "1m", "250"},
		{"", "limits.memory", "", "104857600"},
		{"", "limits.memory", "1Mi", "100"},
		{"", "limits.memory", "1Gi", "1"},
		{"", "requests.memory", "1Mi", "100"}, // the limit, as API defaulting does
		{"", "limits.ephemeral-storage", "1Mi", "1024"},
		{"", "requests.hugepages-2Mi", "1Mi", "4"},
		{"", "limits.hugepages-2Mi", "", "0"},
		{"init", "limits.cpu", "", "4"},
		{"init", "requests.cpu", "", "0"},
		{"none", "limits.cpu", "", "error: resource limits.cpu: container none not found"},
		{"", "limits.gpu", "", "error: unsupported container resource: limits.gpu"},
		{"", "cpu", "", "error: unsupported container resource: cpu"},
		{"", "limits.memory", "1m", "104857600"},
		{"", "limits.memory", "-1", "error: divisor -1: must be positive"},
	} {
		t.Run(strings.Join([]string{tt.container, tt.resource, tt.divisor}, " "), func(t *testing.T) {
			p := pod()
			ref := &corev1.ResourceFieldSelector{ContainerName: tt.container, Resource: tt.resource}
			if tt.divisor != "" {
				ref.Divisor = resource.MustParse(tt.divisor)
			}
			got, err := Resource(p, &p.Spec.Containers[0], ref, allocatable)
			if err != nil {
				got = "error: " + err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzFieldPath(f *testing.F) {
	for _, s := range []string{"metadata.labels['a']", "metadata.labels['", "']", "['']", "metadata.annotations['['']']"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if _, err := File(pod(), path); err == nil && !strings.HasPrefix(path, "metadata.") {
			t.Errorf("File(%q) succeeded", path)
		}
	})
}
