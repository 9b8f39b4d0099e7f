package connect

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/internal/fakeserver"
)

func TestAServiceLeadsToItsPodsAlone(t *testing.T) {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "default", Name: name} }
	to := func(ip, kind, namespace, name string) corev1.EndpointAddress {
		return corev1.EndpointAddress{IP: ip, TargetRef: &corev1.ObjectReference{Kind: kind, Namespace: namespace, Name: name}}
	}
	state := &fakeserver.Server{}
	state.Add(services, &corev1.Service{ObjectMeta: meta("web"), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}, {Name: "admin", Port: 81}}}})
	state.Add(pods, &corev1.Pod{ObjectMeta: meta("a"), Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.1.0.1"}, {IP: "fd00::1"}}}},
		&corev1.Pod{ObjectMeta: meta("self"), Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "127.0.0.1"}}}})
	state.Add(endpoints, &corev1.Endpoints{ObjectMeta: meta("web"), Subsets: []corev1.EndpointSubset{{
		Ports: []corev1.EndpointPort{{Name: "http", Port: 8080}},
		Addresses: []corev1.EndpointAddress{
			{IP: "10.1.0.9"}, // of anybody
			to("10.1.0.8", "Pod", "default", "a"),
			to("10.1.0.1", "Pod", "other", "a"),
			to("10.1.0.1", "Node", "default", "a"),
			to("10.1.0.7", "Pod", "default", "none"),
			to("127.0.0.1", "Pod", "default", "self"),
			to("10.1.0.1", "Pod", "default", "a"),
		},
		NotReadyAddresses: []corev1.EndpointAddress{to("fd00::1", "Pod", "default", "a")},
	}, {
		Ports:     []corev1.EndpointPort{{Name: "admin", Port: 9090}},
		Addresses: []corev1.EndpointAddress{to("fd00::1", "Pod", "default", "a")},
	}}})
	web := target{state, "default", "web"}
	for _, c := range []struct{ port, want string }{{"http", "10.1.0.1:8080"}, {"admin", "[fd00::1]:9090"}, {"none", ""}, {"", ""}} {
		for range 10 { // it chooses at random
			if got, err := endpoint(t.Context(), web, "web", c.port); got != c.want || (err != nil) != (c.want == "") {
				t.Errorf("port %q: got %q, %v, want %q", c.port, got, err, c.want)
			}
		}
	}
	for number, want := range map[int64]string{80: "http", 81: "admin", 82: ""} {
		if got, err := portName(t.Context(), web, "web", number); got != want || (err != nil) != (want == "") {
			t.Errorf("port %d: got %q, %v, want %q", number, got, err, want)
		}
	}
}
