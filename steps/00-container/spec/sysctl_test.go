package spec_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/k8s-groundup/groundup/steps/00-container/spec"
)

func TestSysctlsAreThoseOfThePodsNamespaces(t *testing.T) {
	for _, test := range []struct {
		name     string
		net, ipc bool
		want     string // the file, or
		fails    string
	}{
		{"net.ipv4.ip_forward", true, true, "net/ipv4/ip_forward", ""},
		{"net/ipv4/ip_forward", true, true, "net/ipv4/ip_forward", ""},
		{"net.ipv4.conf.eth0/1.forwarding", true, true, "net/ipv4/conf/eth0.1/forwarding", ""},
		{"net/ipv4/conf/eth0.1/forwarding", true, true, "net/ipv4/conf/eth0.1/forwarding", ""},
		{"kernel.msgmax", true, true, "kernel/msgmax", ""},
		{"fs.mqueue.msg_max", false, true, "fs/mqueue/msg_max", ""},
		{"kernel.domainname", true, true, "kernel/domainname", ""},
		{"kernel.panic", true, true, "", "not a pod's to set"},
		{"vm.overcommit_memory", true, true, "", "not a pod's to set"},
		{"kernel.hostname", true, true, "", "not a pod's to set"}, // the pod has a field for it
		{"net.ipv4.ip_forward", false, true, "", "shares with the node"},
		{"kernel.msgmax", true, false, "", "shares with the node"},
		{"net/../kernel/panic", true, true, "", "not a pod's to set"},
		{"net.//.kernel.panic", true, true, "", "not a pod's to set"},
		{"../../etc/passwd", true, true, "", "not a pod's to set"},
		{"", true, true, "", "not a pod's to set"},
	} {
		t.Run(test.name, func(t *testing.T) {
			files, err := spec.Sysctls(map[string]string{test.name: "1"}, test.net, test.ipc)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("got %v, %v, want an error with %q", files, err, test.fails)
				}
				return
			}
			if got := slices.Collect(maps.Keys(files)); err != nil || !slices.Equal(got, []string{test.want}) {
				t.Errorf("got %v, %v, want %s", got, err, test.want)
			}
		})
	}
}
