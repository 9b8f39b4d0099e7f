package apiserver

import (
	"os"
	"strings"
	"testing"
)

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want string // in the error; empty is none
	}{
		{"data alone", []string{"--data-dir", "d"}, ""},
		{"nothing", nil, "--data-dir is missing"},
		{"etcd without certificates", []string{"--etcd-servers", "http://127.0.0.1:2379"}, "--tls-cert-file"},
		{"a bad address", []string{"--data-dir", "d", "--bind-address", "here"}, "--bind-address"},
		{"a bad range", []string{"--data-dir", "d", "--service-cluster-ip-range", "10.0.0.1"}, "--service-cluster-ip-range"},
		{"no time", []string{"--data-dir", "d", "--event-ttl", "0s"}, "--event-ttl"},
		{"something else", []string{"--data-dir", "d", "more"}, `unknown argument "more"`},
		{"an unknown flag", []string{"--nope"}, "unknown flag"},
	} {
		_, err := parse(c.args)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	if err := etcdCommand(t.Context(), []string{"explode"}, os.Stderr); err == nil || !strings.Contains(err.Error(), "usage") {
		t.Errorf("an unknown command: got %v, want the usage", err)
	}
}

// kubectl version -o yaml shows all of it.
func TestTheVersionSaysByWhatItWasBuilt(t *testing.T) {
	if version.GoVersion == "" || version.Compiler == "" || version.Platform == "" {
		t.Errorf("got %+v", version)
	}
}
