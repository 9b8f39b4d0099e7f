package apivolume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/generated"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/projected"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume/volumetest"
)

func TestMain(m *testing.M) { volumetest.Main(m) }

// objects are a configMap and a secret of one name; "broken" can't be read.
type objects struct{ value string }

var _ criconfig.Objects = objects{}

func (o objects) ConfigMap(namespace, name string) (*corev1.ConfigMap, error) {
	switch {
	case name == "broken":
		return nil, errors.New("boom")
	case name != "conf" || namespace != "default":
		return nil, nil
	}
	return &corev1.ConfigMap{Data: map[string]string{"a": o.value, "b": "text"}, BinaryData: map[string][]byte{"c": {0}}}, nil
}

func (o objects) Secret(namespace, name string) (*corev1.Secret, error) {
	if name != "conf" || namespace != "default" {
		return nil, nil
	}
	return &corev1.Secret{Data: map[string][]byte{"key": []byte(o.value)}}, nil
}

type tokens struct{}

func (tokens) Get(_ context.Context, pod *corev1.Pod, audience string, seconds *int64) (string, error) {
	return fmt.Sprintf("token of %s for %q", pod.Name, audience), nil
}

func volumeOf(t *testing.T, text string) *corev1.Volume {
	t.Helper()
	v := &corev1.Volume{Name: "v"}
	if err := yaml.UnmarshalStrict([]byte(text), &v.VolumeSource); err != nil {
		t.Fatal(err)
	}
	return v
}

func newProjected() projected.Plugin {
	return projected.Plugin{Sources: []projected.Source{Objects{objects{"1"}}, ServiceAccountToken{tokens{}}}}
}

func TestConformance(t *testing.T) {
	for _, tt := range []struct {
		plugin volume.Plugin
		volume string
	}{
		{ConfigMap{objects{"1"}}, `configMap: {name: conf}`},
		{Secret{objects{"1"}}, `secret: {secretName: conf}`},
		{Keep(Secret{objects{"1"}}, slog.New(slog.DiscardHandler)), `secret: {secretName: conf}`},
		{newProjected(), `projected: {sources: [{configMap: {name: conf}}, {secret: {name: conf}}, {serviceAccountToken: {path: token}}]}`},
	} {
		t.Run(tt.plugin.Name(), func(t *testing.T) { volumetest.Run(t, tt.plugin, volumeOf(t, tt.volume), false) })
	}
}

// list is what files there are: "path mode content".
func list(files map[string]generated.File) string {
	var all []string
	for _, path := range slices.Sorted(maps.Keys(files)) {
		f := files[path]
		line := fmt.Sprintf("%s %o %q", path, f.Mode, f.Data)
		if f.User != nil {
			line += fmt.Sprintf(" user %d", *f.User)
		}
		all = append(all, line)
	}
	return strings.Join(all, "; ")
}

func TestFiles(t *testing.T) {
	for _, tt := range []struct{ name, projection, want, err string }{
		{"all keys", `configMap: {name: conf}`, `a 644 "1"; b 644 "text"; c 644 "\x00"`, ""},
		{"chosen keys", `configMap: {name: conf, items: [{key: a, path: x/y, mode: 0400}, {key: b, path: z, user: 7}]}`, `x/y 400 "1"; z 644 "text" user 7`, ""},
		{"a key that is not there", `configMap: {name: conf, items: [{key: q, path: q}]}`, "", "configmap references non-existent config key: q"},
		{"an optional key that is not there", `configMap: {name: conf, optional: true, items: [{key: q, path: q}, {key: b, path: b}]}`, `b 644 "text"`, ""},
		{"no configMap", `configMap: {name: none}`, "", `configmap "none" not found`},
		{"no optional configMap", `configMap: {name: none, optional: true}`, "", ""},
		{"a configMap that can't be read", `configMap: {name: broken, optional: true}`, "", "boom"},
		{"secret", `secret: {name: conf}`, `key 644 "1"`, ""},
		{"no secret", `secret: {name: none}`, "", `secret "none" not found`},
		{"a secret's key that is not there", `secret: {name: conf, items: [{key: q, path: q}]}`, "", "references non-existent secret key: q"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p corev1.VolumeProjection
			if err := yaml.UnmarshalStrict([]byte(tt.projection), &p); err != nil {
				t.Fatal(err)
			}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default"}}
			files, err := Objects{objects{"1"}}.Files(t.Context(), pod, &p, generated.Defaults{Mode: 0o644})
			message := ""
			if err != nil {
				message = err.Error()
			}
			if list(files) != tt.want || message != tt.err {
				t.Errorf("got  %s, error %q\nwant %s, error %q", list(files), message, tt.want, tt.err)
			}
		})
	}
}

func TestATokenIsForItsReaderAlone(t *testing.T) {
	for _, tt := range []struct{ name, spec, want string }{
		{"nobody knows who reads it", `containers: [{name: a}]`, `token 644 "token of web for \"\""`},
		{"one user", `{securityContext: {runAsUser: 1000}, containers: [{name: a}, {name: b}]}`, `token 600 "token of web for \"\"" user 1000`},
		{"two users", `{securityContext: {runAsUser: 1000}, containers: [{name: a}, {name: b, securityContext: {runAsUser: 1001}}]}`, `token 644 "token of web for \"\""`},
		{"one of them does not say", `{containers: [{name: a, securityContext: {runAsUser: 1000}}, {name: b}]}`, `token 644 "token of web for \"\""`},
		{"a group", `{securityContext: {fsGroup: 2000}, containers: [{name: a}]}`, `token 600 "token of web for \"\""`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
			if err := yaml.UnmarshalStrict([]byte(tt.spec), &pod.Spec); err != nil {
				t.Fatal(err)
			}
			p := &corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}
			files, err := ServiceAccountToken{tokens{}}.Files(t.Context(), pod, p, generated.Defaults{Mode: 0o644})
			if got := list(files); got != tt.want || err != nil {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestAChangeReachesTheVolume(t *testing.T) {
	volumetest.Root(t)
	dir := filepath.Join(t.TempDir(), "v")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default"}}
	v := volumeOf(t, `configMap: {name: conf, defaultMode: 0440, items: [{key: a, path: sub/a}]}`)
	t.Cleanup(func() {
		if err := (ConfigMap{}).TearDown(context.Background(), dir); err != nil {
			t.Error(err)
		}
	})
	for _, value := range []string{"1", "2"} {
		if _, err := (ConfigMap{objects{value}}).SetUp(t.Context(), pod, v, dir); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, "sub/a"))
		if string(got) != value || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, value)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "sub/a"))
	if err != nil || info.Mode().Perm() != 0o440 {
		t.Errorf("got %v, %v, want mode 440", info.Mode(), err)
	}
}

func TestAVolumeOutlivesItsObject(t *testing.T) {
	volumetest.Root(t)
	dir := filepath.Join(t.TempDir(), "v")
	plugin := Keep(ConfigMap{objects{"1"}}, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := plugin.TearDown(context.Background(), dir); err != nil {
			t.Error(err)
		}
	})
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default"}}
	if _, err := plugin.SetUp(t.Context(), pod, volumeOf(t, `configMap: {name: broken}`), dir); err == nil {
		t.Error("got no error for a volume that was never written; its containers would start without their files")
	}
	for _, name := range []string{"conf", "broken", "none"} {
		if path, err := plugin.SetUp(t.Context(), pod, volumeOf(t, `configMap: {name: `+name+`}`), dir); path != dir || err != nil {
			t.Errorf("%s: got %s, %v, want the volume as it was", name, path, err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(dir, "a")); string(got) != "1" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
