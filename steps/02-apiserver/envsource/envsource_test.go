package envsource

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
)

func service(namespace, name, ip string, ports ...corev1.ServicePort) *corev1.Service {
	if ports == nil {
		ports = []corev1.ServicePort{{Port: 80}}
	}
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Spec: corev1.ServiceSpec{ClusterIP: ip, Ports: ports}}
}

func TestSelect(t *testing.T) {
	all := []*corev1.Service{
		service("default", "kubernetes", "10.96.0.1"), service("default", "other", "10.96.0.2"), service("shop", "web", "10.96.0.3"),
		service("shop", "headless", "None"), service("shop", "external", ""), service("mine", "kubernetes", "10.96.0.4"),
	}
	for _, tt := range []struct {
		namespace string
		links     bool
		want      string
	}{
		{"shop", true, "default/kubernetes shop/web"},
		{"shop", false, "default/kubernetes"},
		{"default", true, "default/kubernetes default/other"},
		{"mine", true, "mine/kubernetes"},
		{"mine", false, "default/kubernetes"},
	} {
		for range 2 { // the order in which services are known does not matter
			var got []string
			for _, s := range Select(all, tt.namespace, tt.links) {
				got = append(got, s.Namespace+"/"+s.Name)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%s, links %t: got %v, want %s", tt.namespace, tt.links, got, tt.want)
			}
			slices.Reverse(all)
		}
	}
}

func TestVariables(t *testing.T) {
	s := service("shop", "my-web", "10.96.0.3", corev1.ServicePort{Name: "http", Port: 80, Protocol: "TCP"}, corev1.ServicePort{Name: "dns", Port: 53, Protocol: "UDP"})
	var got []string
	for _, e := range Variables([]*corev1.Service{s}) {
		got = append(got, e.Name+"="+e.Value)
	}
	want := []string{
		"MY_WEB_SERVICE_HOST=10.96.0.3", "MY_WEB_SERVICE_PORT=80", "MY_WEB_SERVICE_PORT_HTTP=80", "MY_WEB_SERVICE_PORT_DNS=53",
		"MY_WEB_PORT=tcp://10.96.0.3:80",
		"MY_WEB_PORT_80_TCP=tcp://10.96.0.3:80", "MY_WEB_PORT_80_TCP_PROTO=tcp", "MY_WEB_PORT_80_TCP_PORT=80", "MY_WEB_PORT_80_TCP_ADDR=10.96.0.3",
		"MY_WEB_PORT_53_UDP=udp://10.96.0.3:53", "MY_WEB_PORT_53_UDP_PROTO=udp", "MY_WEB_PORT_53_UDP_PORT=53", "MY_WEB_PORT_53_UDP_ADDR=10.96.0.3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := Variables([]*corev1.Service{service("a", "six", "fd00::1")}); got[2].Value != "tcp://[fd00::1]:80" {
		t.Errorf("got %v", got[2])
	}
}

func TestContainersWaitForTheServices(t *testing.T) {
	s := New(fake.NewClientset(service("default", "kubernetes", "10.96.0.1")))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}}
	if _, err := s.Env(pod); err == nil {
		t.Error("got no error before the services were read; the container would never know the API server")
	}
	static := pod.DeepCopy()
	static.Annotations = map[string]string{podsource.Annotation: "file"}
	if _, err := s.Env(static); err != nil {
		t.Errorf("a static pod: got %v; it may be the API server that everybody waits for", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	defer running.Wait()
	defer cancel()
	if !cache.WaitForCacheSync(ctx.Done(), s.replica.HasSynced) {
		t.Fatal("services were not read")
	}
	env, err := s.Env(pod)
	if err != nil || len(env) == 0 || env[0] != (corev1.EnvVar{Name: "KUBERNETES_SERVICE_HOST", Value: "10.96.0.1"}) {
		t.Errorf("got %v, %v", env, err)
	}
}
