package printing

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

var age3 = regexp.MustCompile(`\d+y(\d+d)?|\d{3,}d`)

// The lines in testdata/pods.yaml were printed by Kubernetes itself.
func TestPodsAreSummarizedAsUpstreamDoes(t *testing.T) {
	data, err := os.ReadFile("testdata/pods.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name string      `json:"name"`
		Pod  *corev1.Pod `json:"pod"`
		Line []string    `json:"line"`
	}
	if err := yaml.UnmarshalStrict(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		var got []string
		for _, cell := range Pod(c.Pod) {
			got = append(got, age3.ReplaceAllString(fmt.Sprint(cell), "AGE"))
		}
		if !slices.Equal(got, c.Line) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.Name, got, c.Line)
		}
	}
}

func TestSince(t *testing.T) {
	for _, test := range []struct {
		ago  time.Duration
		want string
	}{{3 * time.Second, "3s"}, {90 * time.Minute, "90m"}, {50 * time.Hour, "2d2h"}, {400 * 24 * time.Hour, "400d"}} {
		if got := since(time.Now().Add(-test.ago)); got != test.want {
			t.Errorf("%s ago: got %s, want %s", test.ago, got, test.want)
		}
	}
	if got := since(time.Time{}); got != unknown {
		t.Errorf("at no time: got %s, want %s", got, unknown)
	}
}

func TestRolesOfNodes(t *testing.T) {
	for labels, want := range map[string]string{
		"":                                      none,
		"node-role.kubernetes.io/control-plane": "control-plane",
		"node-role.kubernetes.io/b,node-role.kubernetes.io/a": "a,b",
		"kubernetes.io/role":       "x",
		"node-role.kubernetes.io/": none,
	} {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{}}}
		for _, label := range strings.Split(labels, ",") {
			n.Labels[label] = "x"
		}
		if got := Node(n)[2]; got != want {
			t.Errorf("%q: got %v, want %s", labels, got, want)
		}
	}
}

func TestEndpointsInShort(t *testing.T) {
	address := func(ips ...string) (list []corev1.EndpointAddress) {
		for _, ip := range ips {
			list = append(list, corev1.EndpointAddress{IP: ip})
		}
		return list
	}
	ports := []corev1.EndpointPort{{Port: 80}, {Port: 81}}
	for _, test := range []struct {
		name    string
		subsets []corev1.EndpointSubset
		want    string
	}{
		{"none", nil, none},
		{"not ready", []corev1.EndpointSubset{{NotReadyAddresses: address("10.0.0.1"), Ports: ports}}, ""},
		{"without ports", []corev1.EndpointSubset{{Addresses: address("10.0.0.1")}}, "10.0.0.1"},
		{"three", []corev1.EndpointSubset{{Addresses: address("10.0.0.1", "10.0.0.2", "fd00::1"), Ports: ports[:1]}}, "10.0.0.1:80,10.0.0.2:80,[fd00::1]:80"},
		{"four", []corev1.EndpointSubset{{Addresses: address("10.0.0.1", "10.0.0.2"), Ports: ports}}, "10.0.0.1:80,10.0.0.2:80,10.0.0.1:81 + 1 more..."},
	} {
		if got := firstEndpoints(&corev1.Endpoints{Subsets: test.subsets}); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestWideColumnsComeLast(t *testing.T) {
	for kind, list := range map[string]columns{"pods": PodColumns, "nodes": NodeColumns, "services": ServiceColumns} {
		seen := false
		for _, c := range list {
			if seen && c.Priority == 0 {
				t.Errorf("%s: %s comes after a wide column, where kubectl's users do not look for it", kind, c.Name)
			}
			seen = seen || c.Priority > 0
			if c.Description == "" {
				t.Errorf("%s: %s has no description", kind, c.Name)
			}
		}
	}
}
