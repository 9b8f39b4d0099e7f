package config

import (
	"strings"
	"testing"
)

func TestEveryFieldOfUpstreamIsAccountedFor(t *testing.T) {
	known := map[string]bool{}
	for _, name := range fieldNames() {
		known[name] = true
		if _, ok := fields[name]; !ok {
			t.Errorf("%s is neither honoured nor ignored nor refused", name)
		}
	}
	for name := range fields {
		if !known[name] {
			t.Errorf("%s is no field of KubeletConfiguration", name)
		}
	}
}

const head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"

func TestMistakesAreNamed(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown field", "staticPodPth: /x", `unknown field "staticPodPth"`},
		{"unknown field inside", "authentication: {x509: {caFile: x}}", `unknown field "authentication.x509.caFile"`},
		{"twice", "port: 1\nport: 2", `key "port" already set in map`},
		{"wrong type", "port: many", "cannot unmarshal string"},
		{"refused", "cpuManagerPolicy: static", "cpuManagerPolicy: is not supported here"},
		{"commands and logs forbidden", "enableDebuggingHandlers: false", "enableDebuggingHandlers: is not supported here"},
		{"another driver", "cgroupDriver: systemd", "cgroupDriver: got \"systemd\""},
		{"no port", "port: 70000", "port: got 70000"},
		{"thresholds crossed", "imageGCLowThresholdPercent: 90", "imageGCLowThresholdPercent: got 90"},
		{"no address", "clusterDNS: [dns]", `clusterDNS: "dns" is no IP address`},
		{"half a certificate", "tlsCertFile: x", "tlsCertFile: is given together"},
		{"webhook", "authorization: {mode: Webhook}", "authorization.mode: got \"Webhook\""},
		{"log size", "containerLogMaxSize: big", `containerLogMaxSize: "big" is no size`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := parse([]byte(head + c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %s", err, c.want)
			}
		})
	}
	if _, _, err := parse([]byte("apiVersion: v1\nkind: Pod\n")); err == nil || !strings.Contains(err.Error(), `kind "Pod"`) {
		t.Errorf("another kind: got error %v", err)
	}
}

func TestWarningsNameWhatHasNoEffect(t *testing.T) {
	c, warnings, err := parse([]byte(head + "evictionHard: {memory.available: 100Mi}\nfailSwapOn: false\nsyncFrequency: 30s\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "evictionHard: has no effect here") {
		t.Errorf("got warnings %q, want one about evictionHard", warnings)
	}
	if c.SyncFrequency.Seconds() != 30 || c.FileCheckFrequency.Seconds() != 20 || *c.ImageGCHighThresholdPercent != 85 {
		t.Errorf("got %v, %v, %d", c.SyncFrequency, c.FileCheckFrequency, *c.ImageGCHighThresholdPercent)
	}
}

func TestALaterStepHonoursMore(t *testing.T) {
	text := []byte(head + "registerNode: true\nevictionHard: {memory.available: 1Mi}\nauthorization: {mode: Webhook}\n")
	_, warnings, err := parse(text, "registerNode", "authentication", "authorization")
	if err != nil {
		t.Error(err)
	}
	if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "evictionHard") {
		t.Errorf("got warnings %q, want one about evictionHard", warnings)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(head + "port: 1"))
	f.Add([]byte(head + "crashLoopBackOff: {maxContainerRestartPeriod: 1s}\nmaxParallelImagePulls: 3"))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _, _ = parse(data) })
}
