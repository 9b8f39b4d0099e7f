package projected

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/generated"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/volumetest"
)

func TestMain(m *testing.M) { volumetest.Main(m) }

func volumeOf(t *testing.T, sources string) *corev1.Volume {
	t.Helper()
	v := &corev1.Volume{Name: "all"}
	if err := yaml.UnmarshalStrict([]byte("projected: {sources: "+sources+"}"), v); err != nil {
		t.Fatal(err)
	}
	return v
}

const name = `{downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}`

func TestConformance(t *testing.T) {
	volumetest.Run(t, Plugin{Sources: []Source{DownwardAPI{}}}, volumeOf(t, "["+name+"]"), false)
}

// tokens is a source as a later step adds it.
type tokens struct{}

func (tokens) Supports(p *corev1.VolumeProjection) bool { return p.ServiceAccountToken != nil }

func (tokens) Files(_ context.Context, _ *corev1.Pod, p *corev1.VolumeProjection, defaults generated.Defaults) (map[string]generated.File, error) {
	return map[string]generated.File{p.ServiceAccountToken.Path: defaults.File([]byte("secret"), nil, nil)}, nil
}

func TestSources(t *testing.T) {
	volumetest.Root(t)
	ours, more := []Source{DownwardAPI{}}, []Source{DownwardAPI{}, tokens{}}
	for _, tt := range []struct {
		name, sources string
		known         []Source
		want, err     string
	}{
		{name: "one", sources: "[" + name + "]", known: ours, want: "name=web"},
		{name: "a later step's", sources: "[" + name + ", {serviceAccountToken: {path: token}}]", known: more, want: "name=web token=secret"},
		{name: "refused", sources: "[{serviceAccountToken: {path: token}}]", known: ours,
			err: "projected source 0: serviceAccountToken is not supported by this kubelet"},
		{name: "refused configMap", sources: "[" + name + ", {configMap: {name: conf}}]", known: ours, err: "projected source 1: configMap conf is not supported"},
		{name: "optional", sources: "[{configMap: {name: conf, optional: true}}, {secret: {name: s, optional: true}}]", known: ours},
		{name: "the later one counts", sources: "[" + name + ", {serviceAccountToken: {path: name}}]", known: more, want: "name=secret"},
		{name: "empty", sources: "[{}]", known: ours, err: "an empty source"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "all")
			t.Cleanup(func() {
				if err := volume.Remove(dir); err != nil {
					t.Error(err)
				}
			})
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
			_, err := Plugin{Sources: tt.known}.SetUp(context.Background(), pod, volumeOf(t, tt.sources), dir)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := content(t, dir); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func content(t *testing.T, dir string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "[a-z]*"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, filepath.Base(path)+"="+string(data))
	}
	return strings.Join(out, " ")
}
