package addressing_test

import (
	"net/netip"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/addressing"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/server/servertest"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/memory"
)

// Many services that are made at once get an address each, and keep it when
// they are written back by somebody who has never seen it.
func TestServicesOfAServer(t *testing.T) {
	conf := servertest.Config()
	conf.Admission = []resource.Admission{&addressing.Allocator{Addresses: netip.MustParsePrefix("10.96.0.0/24"), Ports: addressing.DefaultPorts}}
	_, rest := servertest.Start(t, conf)
	services := kubernetes.NewForConfigOrDie(rest).CoreV1().Services("default")
	spec := corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}}

	const n = 40
	made := make([]*corev1.Service, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{GenerateName: "a-", Namespace: "default"}, Spec: spec}
			var err error
			if made[i], err = services.Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	addresses, ports := map[string]string{}, map[int32]string{}
	for _, s := range made {
		ip, port := s.Spec.ClusterIP, s.Spec.Ports[0].NodePort
		if other, taken := addresses[ip]; taken || ip == "" {
			t.Errorf("%s and %s both have the address %q", s.Name, other, ip)
		}
		if other, taken := ports[port]; taken || port == 0 {
			t.Errorf("%s and %s both have the node port %d", s.Name, other, port)
		}
		addresses[ip], ports[port] = s.Name, s.Name
	}

	again := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: made[0].Name, Namespace: "default"}, Spec: spec}
	got, err := services.Update(t.Context(), again, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Spec.ClusterIP != made[0].Spec.ClusterIP || got.Spec.Ports[0].NodePort != made[0].Spec.Ports[0].NodePort {
		t.Errorf("written back: got %s and %d, want %s and %d", got.Spec.ClusterIP, got.Spec.Ports[0].NodePort, made[0].Spec.ClusterIP, made[0].Spec.Ports[0].NodePort)
	}
}

// Two servers of one store choose addresses from a range that is hardly large
// enough, always the same first.
func TestTwoServersGiveOutNothingTwice(t *testing.T) {
	store := memory.New()
	var clients []*kubernetes.Clientset
	for range 2 {
		conf := servertest.Config()
		conf.Store = store
		conf.Admission = []resource.Admission{&addressing.Allocator{Addresses: netip.MustParsePrefix("10.96.0.0/27"),
			Ports: addressing.Ports{First: 30000, Last: 30029}, Ledger: &addressing.Ledger{Store: store}, Random: func(int) int { return 0 }}}
		_, rest := servertest.Start(t, conf)
		clients = append(clients, kubernetes.NewForConfigOrDie(rest))
	}
	const each = 15 // of 30 addresses
	var mu sync.Mutex
	addresses, ports := map[string]string{}, map[int32]string{}
	var group sync.WaitGroup
	for i := range 2 * each {
		group.Go(func() {
			s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{GenerateName: "a-", Namespace: "default"},
				Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}}}
			made, err := clients[i%2].CoreV1().Services("default").Create(t.Context(), s, metav1.CreateOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ip, port := made.Spec.ClusterIP, made.Spec.Ports[0].NodePort
			if addresses[ip]+ports[port] != "" {
				t.Errorf("%s has %s and %d, which %s and %s have", made.Name, ip, port, addresses[ip], ports[port])
			}
			addresses[ip], ports[port] = made.Name, made.Name
		})
	}
	group.Wait()
}
