package nodeconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func load(t *testing.T, text string) (warnings []string, err error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubelet.yaml")
	if err := os.WriteFile(file, []byte("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, warnings, err = Load(file)
	return warnings, err
}

func TestDefaults(t *testing.T) {
	c, warnings, err := Load("")
	if err != nil || len(warnings) > 0 {
		t.Fatalf("got %v, %v", warnings, err)
	}
	if c.NodeStatusUpdateFrequency.Duration != 10*time.Second || c.NodeStatusReportFrequency.Duration != 5*time.Minute ||
		c.NodeLeaseDurationSeconds != 40 || !*c.RegisterNode || c.EvictionHard["memory.available"] != "100Mi" {
		t.Errorf("got %+v", c)
	}
}

func TestWhatHasNoEffectIsNamed(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"registerNode: false\nnodeStatusUpdateFrequency: 1s\nshutdownGracePeriod: 30s\nauthorization: {mode: Webhook}", ""},
		{"rotateCertificates: true", "rotateCertificates: has no effect here: lab"},
		{"configMapAndSecretChangeDetectionStrategy: Watch", ""},
		{"configMapAndSecretChangeDetectionStrategy: Cache", "configMapAndSecretChangeDetectionStrategy: has no effect here"},
		{"evictionHard: {memory.available: 1Mi}", "evictionHard: decides"},
		{"evictionSoft: {memory.available: 1Mi}", "evictionSoft: has no effect"},
	} {
		warnings, err := load(t, tt.text)
		if err != nil || (len(warnings) == 0) != (tt.want == "") || tt.want != "" && !strings.HasPrefix(warnings[0], tt.want) {
			t.Errorf("%s: got %q, %v, want %q", tt.text, warnings, err, tt.want)
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"authorization: {mode: Ask}", `authorization.mode: got "Ask"`},
		{"evictionHard: {memory: 1Mi}", `evictionHard: unknown signal "memory"`},
		{"shutdownGracePeriod: 10s\nshutdownGracePeriodCriticalPods: 20s", "shutdownGracePeriodCriticalPods: got 20s"},
		{"nodeLeaseDurationSeconds: -1", "nodeLeaseDurationSeconds: got -1"},
		{"nodeStatusMaxImages: -2", "nodeStatusMaxImages: got -2"},
	} {
		if _, err := load(t, tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.text, err, tt.want)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"--kubeconfig f --node-labels disk=ssd,zone=a --register-with-taints k=v:NoSchedule,k2:NoExecute", ""},
		{"", "--kubeconfig is not given"},
		{"--kubeconfig f --node-labels a/b/c=d", "--node-labels: a/b/c=d"},
		{"--kubeconfig f --register-with-taints k=v", `--register-with-taints: got "k=v"`},
		{"--kubeconfig f --register-with-taints k:Never", `--register-with-taints: got "k:Never"`},
	} {
		var f Flags
		fs := pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
		f.Add(fs)
		if err := fs.Parse(strings.Fields(tt.args)); err != nil {
			t.Fatal(err)
		}
		c, _, err := Load("")
		if err != nil {
			t.Fatal(err)
		}
		err = f.Apply(c)
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.args, err, tt.want)
		}
		if tt.want == "" && (len(c.RegisterWithTaints) != 2 || f.NodeLabels["zone"] != "a") {
			t.Errorf("got taints %v, labels %v", c.RegisterWithTaints, f.NodeLabels)
		}
	}
}

// The file of our nodes has only fields that work, but for evictionHard, of which
// half works: that a disk is short is told, and nobody is evicted for it.
func TestTheFileOfOurNodes(t *testing.T) {
	c, warnings, err := Load("../node/etc/kubernetes/kubelet.yaml")
	if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0], "evictionHard: ") {
		t.Fatalf("got warnings %q, %v", warnings, err)
	}
	if c.ShutdownGracePeriod.Duration != 30*time.Second || c.NodeStatusReportFrequency.Duration != 5*time.Minute {
		t.Errorf("got %+v", c)
	}
}
