package addressing

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/memory"
)

// A server has services, and nothing else.
type server struct {
	resource.Server
	all []resource.Object
}

func (s *server) List(context.Context, schema.GroupResource, string) ([]resource.Object, error) {
	return s.all, nil
}

func service(name string, spec corev1.ServiceSpec) *corev1.Service {
	if spec.Type == "" {
		spec.Type = corev1.ServiceTypeClusterIP
	}
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Spec: spec}
}

func allocator(r string) *Allocator {
	return &Allocator{Addresses: netip.MustParsePrefix(r), Ports: Ports{30000, 30003}, Random: func(int) int { return 0 }}
}

func admit(t *testing.T, a *Allocator, s *server, obj, old *corev1.Service, dryRun bool) error {
	t.Helper()
	r := &resource.Request{Operation: resource.Create, Object: obj, Server: s, DryRun: dryRun,
		Resource: &resource.Resource{GroupVersionKind: corev1.SchemeGroupVersion.WithKind("Service"), Name: "services"}}
	switch {
	case obj == nil:
		r.Operation, r.Object, r.Old = resource.Delete, nil, old
	case old != nil:
		r.Operation, r.Old = resource.Update, old
	}
	return a.Admit(t.Context(), r)
}

func address(ips ...string) corev1.ServiceSpec {
	return corev1.ServiceSpec{ClusterIP: ips[0], ClusterIPs: ips}
}

func TestAddresses(t *testing.T) {
	ports := func(list ...int32) (ports []corev1.ServicePort) {
		for i, n := range list {
			ports = append(ports, corev1.ServicePort{Port: int32(80 + i), Protocol: corev1.ProtocolTCP, NodePort: n})
		}
		return ports
	}
	nodePort := func(list ...int32) corev1.ServiceSpec {
		return corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: ports(list...)}
	}
	family := func(policy corev1.IPFamilyPolicy, list ...corev1.IPFamily) corev1.ServiceSpec {
		s := corev1.ServiceSpec{IPFamilies: list}
		if policy != "" {
			s.IPFamilyPolicy = &policy
		}
		return s
	}
	headless := family("", corev1.IPv6Protocol)
	headless.ClusterIP, headless.ClusterIPs = "None", []string{"None"}
	balanced := corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal,
		HealthCheckNodePort: 30000, Ports: ports(30000)}
	for _, test := range []struct {
		name     string
		rangeOf  string
		all      []*corev1.Service
		in       corev1.ServiceSpec
		ip       string
		families int
		ports    []int32
		err      string
	}{
		{"the first above the lower part", "10.96.0.0/12", nil, corev1.ServiceSpec{}, "10.96.1.1", 1, nil, ""},
		{"the next", "10.96.0.0/12", []*corev1.Service{service("b", address("10.96.1.1"))}, corev1.ServiceSpec{}, "10.96.1.2", 1, nil, ""},
		{"what was asked for", "10.96.0.0/12", nil, address("10.96.0.10"), "10.96.0.10", 1, nil, ""},
		{"another's", "10.96.0.0/12", []*corev1.Service{service("b", address("10.96.0.10"))}, address("10.96.0.10"), "10.96.0.10", 1, nil,
			`spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: provided IP is already allocated`},
		{"outside", "10.96.0.0/12", nil, address("10.0.0.1"), "10.0.0.1", 1, nil, "the provided network does not match the current range"},
		{"a small range", "10.0.0.0/30", []*corev1.Service{service("b", address("10.0.0.1"))}, corev1.ServiceSpec{}, "10.0.0.2", 1, nil, ""},
		{"a full one", "10.0.0.0/30", []*corev1.Service{service("b", address("10.0.0.1")), service("c", address("10.0.0.2"))}, corev1.ServiceSpec{}, "", 1, nil, "range is full"},
		{"of version 6", "fd00::/112", nil, corev1.ServiceSpec{}, "fd00::101", 1, nil, ""},
		{"headless", "10.96.0.0/12", nil, corev1.ServiceSpec{ClusterIP: "None", Selector: map[string]string{"a": "b"}}, "None", 1, nil, ""},
		{"headless, for anybody", "10.96.0.0/12", nil, corev1.ServiceSpec{ClusterIP: "None"}, "None", 2, nil, ""},
		{"a name", "10.96.0.0/12", nil, corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName}, "", 0, nil, ""},
		{"node ports", "10.96.0.0/12", []*corev1.Service{service("b", nodePort(30000))}, nodePort(0, 0), "10.96.1.1", 1, []int32{30001, 30002}, ""},
		{"a node port that was asked for", "10.96.0.0/12", nil, nodePort(30003), "10.96.1.1", 1, []int32{30003}, ""},
		{"another's node port", "10.96.0.0/12", []*corev1.Service{service("b", nodePort(30000))}, nodePort(30000), "10.96.1.1", 1, []int32{30000}, "provided port is already allocated"},
		{"no node port", "10.96.0.0/12", nil, nodePort(80), "10.96.1.1", 1, []int32{80}, "The range of valid ports is 30000-30003"},
		{"both families", "10.96.0.0/12", nil, family("RequireDualStack"), "", 0, nil,
			`spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services`},
		{"both families, and one will do", "10.96.0.0/12", nil, family("PreferDualStack"), "10.96.1.1", 1, nil, ""},
		{"two families", "10.96.0.0/12", nil, family("", "IPv4", "IPv6"), "", 2, nil,
			`spec.ipFamilyPolicy: Invalid value: "SingleStack": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified`},
		{"two families that are named", "10.96.0.0/12", nil, family("PreferDualStack", "IPv4", "IPv6"), "", 2, nil,
			`spec.ipFamilies[1]: Invalid value: "IPv6": not configured on this cluster`},
		{"the other family", "10.96.0.0/12", nil, family("", "IPv6"), "", 1, nil, `spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster`},
		{"no family", "10.96.0.0/12", nil, family("", "IPv5"), "", 1, nil, `spec.ipFamilies[0]: Unsupported value: "IPv5"`},
		{"an address of the other family", "10.96.0.0/12", nil, address("fd00::1"), "fd00::1", 0, nil,
			`spec.clusterIPs[0]: Invalid value: ["fd00::1"]: IPv6 is not configured on this cluster`},
		{"the other family, for anybody", "10.96.0.0/12", nil, headless, "None", 2, nil, ""},
		{"a list of addresses alone", "10.96.0.0/12", nil, corev1.ServiceSpec{ClusterIPs: []string{"10.96.0.10"}}, "", 0, nil,
			`spec.clusterIPs: Invalid value: ["10.96.0.10"]: must be empty when` + " `clusterIP` is not specified"},
		{"the network's own address", "10.96.0.0/12", nil, address("10.96.0.0"), "10.96.0.0", 1, nil, "the provided network does not match the current range"},
		{"the address of broadcasts", "10.96.0.0/12", nil, address("10.111.255.255"), "10.111.255.255", 1, nil, "the provided network does not match the current range"},
		{"the last address", "10.96.0.0/12", nil, address("10.111.255.254"), "10.111.255.254", 1, nil, ""},
		{"a port of health checks that is taken", "10.96.0.0/12", nil, balanced, "10.96.1.1", 1, []int32{30000},
			"spec.healthCheckNodePort: Invalid value: 30000: provided port is already allocated"},
		{"too many", "10.96.0.0/12", nil, nodePort(0, 0, 0, 0, 0), "10.96.1.1", 1, []int32{30000, 30001, 30002, 30003, 0}, "range is full"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &server{}
			for _, o := range test.all {
				s.all = append(s.all, o)
			}
			obj := service("a", test.in)
			err := admit(t, allocator(test.rangeOf), s, obj, nil, false)
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("got %v, want %q", err, test.err)
			}
			if obj.Spec.ClusterIP != test.ip || len(obj.Spec.IPFamilies) != test.families {
				t.Errorf("got %q of %v, want %q of %d families", obj.Spec.ClusterIP, obj.Spec.IPFamilies, test.ip, test.families)
			}
			for i, want := range test.ports {
				if got := obj.Spec.Ports[i].NodePort; got != want {
					t.Errorf("port %d: got %d, want %d", i, got, want)
				}
			}
		})
	}
}

// Two that are made at once must differ, though neither is stored yet.
func TestWhatWasGivenIsNotGivenAgain(t *testing.T) {
	now := time.Unix(1000, 0)
	a, s := allocator("10.96.0.0/12"), &server{}
	a.Now = func() time.Time { return now }
	next := func(name string, dryRun bool) string {
		obj := service(name, corev1.ServiceSpec{})
		if err := admit(t, a, s, obj, nil, dryRun); err != nil {
			t.Fatal(err)
		}
		return obj.Spec.ClusterIP
	}
	for _, step := range []struct {
		what, service string
		dryRun        bool
		later         time.Duration
		want          string
	}{
		{"a trial", "a", true, 0, "10.96.1.1"},
		{"the first", "b", false, 0, "10.96.1.1"},
		{"the second", "c", false, time.Second, "10.96.1.2"},
		{"the first, tried again", "b", false, time.Second, "10.96.1.1"},
		{"when the first was never stored", "d", false, time.Minute + time.Second, "10.96.1.1"},
	} {
		now = now.Add(step.later)
		if got := next(step.service, step.dryRun); got != step.want {
			t.Errorf("%s: got %s, want %s", step.what, got, step.want)
		}
	}
}

func TestALedgerForgetsWhatWasNeverStored(t *testing.T) {
	now, store, s := time.Unix(1000, 0), memory.New(), &server{}
	next := func(name string) string {
		a := allocator("10.96.0.0/12") // each another server
		a.Now, a.Ledger = func() time.Time { return now }, &Ledger{Store: store}
		obj := service(name, corev1.ServiceSpec{})
		if err := admit(t, a, s, obj, nil, false); err != nil {
			t.Fatal(err)
		}
		return obj.Spec.ClusterIP
	}
	for _, step := range []struct {
		what, service string
		later         time.Duration
		want          string
	}{
		{"the first", "a", 0, "10.96.1.1"},
		{"by another server", "b", time.Second, "10.96.1.2"},
		{"tried again by the first", "a", time.Second, "10.96.1.1"},
		{"when the first was never stored", "c", outlived, "10.96.1.1"},
	} {
		now = now.Add(step.later)
		if got := next(step.service); got != step.want {
			t.Errorf("%s: got %s, want %s", step.what, got, step.want)
		}
	}
}

// A service that is deleted and made again, as kubectl replace --force does, asks for
// what it had.
func TestWhatIsGivenUpIsFreeAtOnce(t *testing.T) {
	a, s := allocator("10.96.0.0/12"), &server{}
	a.Ledger = &Ledger{Store: memory.New()}
	made := func(name string, port int32) *corev1.Service {
		spec := address("10.96.0.10")
		spec.Type, spec.Ports = corev1.ServiceTypeNodePort, []corev1.ServicePort{{Port: 80, NodePort: port}}
		return service(name, spec)
	}
	create := func(obj *corev1.Service) {
		t.Helper()
		if err := admit(t, a, s, obj, nil, false); err != nil {
			t.Fatal(err)
		}
		s.all = []resource.Object{obj}
	}
	first := made("a", 30000)
	create(first)
	moved := made("a", 30001)
	if err := admit(t, a, s, moved, first, false); err != nil {
		t.Fatal(err)
	}
	s.all = []resource.Object{moved}
	twice := corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80, NodePort: 30002}, {Port: 81, NodePort: 30002}}}
	if err := admit(t, a, s, service("e", twice), nil, false); err == nil {
		t.Error("one port was given to a service twice")
	}
	if err := admit(t, a, s, service("f", corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: twice.Ports[:1]}), nil, true); err != nil {
		t.Errorf("the node port of a service that was refused: %v", err)
	}
	other := service("b", corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80, NodePort: 30000}}})
	if err := admit(t, a, s, other, nil, true); err != nil {
		t.Errorf("the node port that an update gave up: %v", err)
	}
	if err := admit(t, a, s, nil, moved, true); err != nil {
		t.Fatal(err)
	}
	if err := admit(t, a, &server{}, made("c", 30001), nil, true); err == nil {
		t.Error("a deletion that was only tried has given the node port up")
	}
	if err := admit(t, a, s, nil, moved, false); err != nil {
		t.Fatal(err)
	}
	if err := admit(t, a, s, made("c", 30001), nil, false); err == nil {
		t.Error("a service that is deleted and still there has given the node port up")
	}
	s.all = nil
	create(made("a", 30001))
	if err := admit(t, a, s, nil, s.all[0].(*corev1.Service), false); err != nil {
		t.Fatal(err)
	}
	s.all = nil
	create(made("d", 30001)) // under another name
}

func TestAnUpdateKeepsWhatThereWas(t *testing.T) {
	spec := address("10.96.0.10")
	spec.Type, spec.Ports = corev1.ServiceTypeNodePort, []corev1.ServicePort{{Port: 80, NodePort: 30002}}
	old := service("a", spec)
	s := &server{all: []resource.Object{old}}
	obj := service("a", corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 81}, {Port: 80}}})
	if err := admit(t, allocator("10.96.0.0/12"), s, obj, old, false); err != nil {
		t.Fatal(err)
	}
	if obj.Spec.ClusterIP != "10.96.0.10" || obj.Spec.Ports[1].NodePort != 30002 || obj.Spec.Ports[0].NodePort != 30000 {
		t.Errorf("got %q and %v, want the same address, the same node port, and a new one", obj.Spec.ClusterIP, obj.Spec.Ports)
	}
	obj = service("a", corev1.ServiceSpec{ClusterIPs: []string{"10.96.0.10"}}) // as kubectl patches {"clusterIP": null}
	if Keep(obj, old); obj.Spec.ClusterIP != "10.96.0.10" {
		t.Errorf("got %q, want the address that is still in the list", obj.Spec.ClusterIP)
	}
	named := service("b", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName})
	obj = service("b", corev1.ServiceSpec{})
	if err := admit(t, allocator("10.96.0.0/12"), s, obj, named, false); err != nil || obj.Spec.ClusterIP == "" {
		t.Errorf("a name that becomes a service: got %q, %v, want an address", obj.Spec.ClusterIP, err)
	}
}
