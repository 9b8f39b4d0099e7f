package downwardapi

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/generated"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/volumetest"
)

func TestMain(m *testing.M) { volumetest.Main(m) }

func TestConformance(t *testing.T) {
	v := &corev1.Volume{Name: "info"}
	if err := yaml.UnmarshalStrict([]byte(`downwardAPI: {items: [{path: a/name, fieldRef: {fieldPath: metadata.name}}]}`), v); err != nil {
		t.Fatal(err)
	}
	volumetest.Run(t, Plugin{}, v, false)
}

func TestFiles(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Resources: corev1.ResourceRequirements{
			Limits: corev1.ResourceList{"memory": resource.MustParse("2Mi")},
		}}}},
	}
	for _, tt := range []struct{ name, items, want, err string }{
		{name: "field", items: `[{path: name, fieldRef: {fieldPath: metadata.labels}}]`, want: `name 644 app="web"`},
		{name: "mode", items: `[{path: name, mode: 256, fieldRef: {fieldPath: metadata.name}}]`, want: `name 400 web`},
		{name: "resource", items: `[{path: m, resourceFieldRef: {containerName: main, resource: limits.memory, divisor: 1Ki}}]`, want: `m 644 2048`},
		{name: "default", items: `[{path: c, resourceFieldRef: {containerName: main, resource: limits.cpu}}]`, want: `c 644 4`},
		{name: "no container", items: `[{path: m, resourceFieldRef: {resource: limits.memory}}]`, err: "containerName is required"},
		{name: "nothing", items: `[{path: m}]`, err: "one of fieldRef and resourceFieldRef is required"},
		{name: "unknown field", items: `[{path: m, fieldRef: {fieldPath: status.podIP}}]`, err: `downwardAPI file "m": unsupported fieldPath`},
		{name: "twice", items: `[{path: name, fieldRef: {fieldPath: metadata.name}}, {path: name, fieldRef: {fieldPath: metadata.uid}}]`, err: "two items have the same path"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var items []corev1.DownwardAPIVolumeFile
			if err := yaml.UnmarshalStrict([]byte(tt.items), &items); err != nil {
				t.Fatal(err)
			}
			files, err := Files(pod, items, generated.Defaults{Mode: 0o644}, corev1.ResourceList{"cpu": resource.MustParse("4")})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for path, f := range files {
				if got := strings.Join([]string{path, octal(f.Mode), string(f.Data)}, " "); got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
			}
		})
	}
}

func octal(mode int32) string {
	digits := []byte{'0' + byte(mode>>6&7), '0' + byte(mode>>3&7), '0' + byte(mode&7)}
	return string(digits)
}
