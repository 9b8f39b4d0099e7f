package nodestatus

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

func facts(changes ...func(*Facts)) Facts {
	f := Facts{
		Now: metav1.NewTime(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)), Hostname: "node-1", Port: 10250, MaxImages: 50,
		IPs:      []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")},
		Capacity: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")},
	}
	for _, change := range changes {
		change(&f)
	}
	return f
}

// lines is a condition in a line each.
func lines(conditions []corev1.NodeCondition) (all []string) {
	for _, c := range conditions {
		all = append(all, strings.TrimSpace(string(c.Type)+"="+string(c.Status)+" "+c.Reason))
	}
	return all
}

func TestNew(t *testing.T) {
	id := Identity{Name: "node-1", Labels: map[string]string{"disk": "ssd"}, Taints: []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoExecute}}}
	n := New(id, facts())
	for name, want := range map[string]string{"disk": "ssd", "kubernetes.io/hostname": "node-1", "kubernetes.io/os": "linux"} {
		if n.Labels[name] != want {
			t.Errorf("label %s: got %q, want %q", name, n.Labels[name], want)
		}
	}
	if len(n.Spec.Taints) != 1 || n.Spec.Taints[0].TimeAdded == nil {
		t.Errorf("got taints %+v, want one with the time from which pods are evicted", n.Spec.Taints)
	}
	if len(id.Labels) != 1 {
		t.Error("the identity's labels were changed")
	}
	want := []corev1.NodeAddress{{Type: "InternalIP", Address: "192.0.2.7"}, {Type: "InternalIP", Address: "2001:db8::7"}, {Type: "Hostname", Address: "node-1"}}
	if !slices.Equal(n.Status.Addresses, want) {
		t.Errorf("got addresses %v, want %v", n.Status.Addresses, want)
	}
}

func TestOthersCountTheirDevices(t *testing.T) {
	one, five := resource.MustParse("1"), resource.MustParse("5")
	old := corev1.ResourceList{"example.com/dongle": five, "hugepages-2Mi": five, "cpu": five}
	got := Status(corev1.NodeStatus{Capacity: old, Allocatable: old}, Facts{Capacity: corev1.ResourceList{"cpu": one}, Allocatable: corev1.ResourceList{"cpu": one}})
	want := corev1.ResourceList{"example.com/dongle": five, "cpu": one}
	if !equality.Semantic.DeepEqual(got.Capacity, want) || !equality.Semantic.DeepEqual(got.Allocatable, want) {
		t.Errorf("capacity %v, allocatable %v; want both to be %v", got.Capacity, got.Allocatable, want)
	}
}

func TestConditions(t *testing.T) {
	earlier := metav1.NewTime(facts().Now.Add(-time.Hour))
	for _, tt := range []struct {
		name string
		f    Facts
		want []string
	}{
		{"well", facts(), []string{"MemoryPressure=False KubeletHasSufficientMemory", "DiskPressure=False KubeletHasNoDiskPressure",
			"PIDPressure=False KubeletHasSufficientPID", "Ready=True KubeletReady"}},
		{"short", facts(func(f *Facts) { f.Pressure = Pressure{Memory: true, Disk: true, PID: true} }), []string{
			"MemoryPressure=True KubeletHasInsufficientMemory", "DiskPressure=True KubeletHasDiskPressure",
			"PIDPressure=True KubeletHasInsufficientPID", "Ready=True KubeletReady"}},
		{"runtime down", facts(func(f *Facts) { f.NotReady = []string{"a", "b"} }), []string{"MemoryPressure=False KubeletHasSufficientMemory",
			"DiskPressure=False KubeletHasNoDiskPressure", "PIDPressure=False KubeletHasSufficientPID", "Ready=False KubeletNotReady"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old := []corev1.NodeCondition{{Type: "NetworkUnavailable", Status: "False", Reason: "ByCNI"}, {Type: "Ready", Status: "True", LastTransitionTime: earlier}}
			got := conditions(old, tt.f)
			if want := append([]string{"NetworkUnavailable=False ByCNI"}, tt.want...); !slices.Equal(lines(got), want) {
				t.Errorf("got  %q\nwant %q", lines(got), want)
			}
			ready := find(got, corev1.NodeReady)
			if changed := !ready.LastTransitionTime.Equal(&earlier); changed != (ready.Status != "True") {
				t.Errorf("got transition %v for status %s, which was True since %v", ready.LastTransitionTime, ready.Status, earlier)
			}
		})
	}
}

func TestTransitionsAreEvents(t *testing.T) {
	well := conditions(nil, facts())
	if got := transitions(nil, well); !slices.Equal(got, []string{"NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID", "NodeReady"}) {
		t.Errorf("got %q of a new node", got)
	}
	if got := transitions(well, well); got != nil {
		t.Errorf("got %q of a node that stays as it is", got)
	}
	if got := transitions(well, conditions(well, facts(func(f *Facts) { f.NotReady = []string{"x"} }))); !slices.Equal(got, []string{"NodeNotReady"}) {
		t.Errorf("got %q", got)
	}
}

func TestImages(t *testing.T) {
	all := []*runtimeapi.Image{
		{RepoTags: []string{"small:v1"}, Size: 1}, {Size: 9}, // nobody can name it
		{RepoDigests: []string{"big@sha256:1"}, RepoTags: []string{"big:1", "big:2", "big:3", "big:4", "big:5"}, Size: 3},
		{RepoTags: []string{"also-small:v1"}, Size: 1},
	}
	got := images(all, 2)
	if len(got) != 2 || got[0].Names[0] != "big@sha256:1" || len(got[0].Names) != 5 || got[1].Names[0] != "also-small:v1" {
		t.Errorf("got %+v", got)
	}
	if got := images(all, -1); len(got) != 3 {
		t.Errorf("got %d without limit, want 3", len(got))
	}
}

func TestChanged(t *testing.T) {
	before := Status(corev1.NodeStatus{}, facts())
	later := Status(before, facts(func(f *Facts) { f.Now = metav1.NewTime(f.Now.Add(time.Minute)) }))
	if Changed(before, later) {
		t.Error("the heartbeat alone is taken for a change")
	}
	if !Changed(before, Status(before, facts(func(f *Facts) { f.Pressure.Disk = true }))) {
		t.Error("a condition is taken for no change")
	}
}

func TestPatchReplacesAddresses(t *testing.T) {
	before := Status(corev1.NodeStatus{}, facts())
	after := Status(before, facts(func(f *Facts) { f.IPs = f.IPs[:1] }))
	patch, err := Patch(before, after)
	want := `{"status":{"addresses":[{"$patch":"replace"},{"type":"InternalIP","address":"192.0.2.7"},{"type":"Hostname","address":"node-1"}]}}`
	if string(patch) != want || err != nil {
		t.Errorf("got  %s, %v\nwant %s", patch, err, want)
	}
}

func ptr(n uint64) *uint64 { return &n }

func TestShort(t *testing.T) {
	thresholds, err := ParseThresholds(DefaultThresholds)
	if err != nil {
		t.Fatal(err)
	}
	fs := func(available, capacity, inodesFree, inodes uint64) *statsapi.FsStats {
		return &statsapi.FsStats{AvailableBytes: &available, CapacityBytes: &capacity, InodesFree: &inodesFree, Inodes: &inodes}
	}
	memory := func(available uint64) *statsapi.MemoryStats {
		return &statsapi.MemoryStats{AvailableBytes: &available, WorkingSetBytes: ptr(1 << 30)}
	}
	for _, tt := range []struct {
		name string
		n    statsapi.NodeStats
		want Pressure
	}{
		{"nothing was measured", statsapi.NodeStats{}, Pressure{}},
		{"plenty", statsapi.NodeStats{Memory: memory(1 << 30), Fs: fs(50, 100, 50, 100)}, Pressure{}},
		{"memory at the threshold", statsapi.NodeStats{Memory: memory(100 << 20)}, Pressure{}},
		{"memory below it", statsapi.NodeStats{Memory: memory(100<<20 - 1)}, Pressure{Memory: true}},
		{"disk", statsapi.NodeStats{Fs: fs(9, 100, 50, 100)}, Pressure{Disk: true}},
		{"inodes", statsapi.NodeStats{Fs: fs(50, 100, 4, 100)}, Pressure{Disk: true}},
		{"a file system without inodes", statsapi.NodeStats{Fs: fs(50, 100, 0, 0)}, Pressure{}},
		{"disk of the images", statsapi.NodeStats{Runtime: &statsapi.RuntimeStats{ImageFs: fs(14, 100, 50, 100)}}, Pressure{Disk: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Short(tt.n, thresholds); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	limit, used := int64(1000), int64(990)
	few, err := ParseThresholds(map[string]string{"pid.available": "2%"})
	if err != nil {
		t.Fatal(err)
	}
	if got := Short(statsapi.NodeStats{Rlimit: &statsapi.RlimitStats{MaxPID: &limit, NumOfRunningProcesses: &used}}, few); !got.PID {
		t.Error("10 of 1000 process ids left: got no pressure")
	}
}

func TestParseThresholds(t *testing.T) {
	for _, tt := range []struct {
		text map[string]string
		want string // of the error
	}{
		{map[string]string{"memory.available": "1Gi", "nodefs.available": "5%"}, ""},
		{map[string]string{"memory.free": "1Gi"}, `evictionHard: unknown signal "memory.free"`},
		{map[string]string{"memory.available": "lots"}, `evictionHard: memory.available: "lots" is neither`},
		{map[string]string{"nodefs.available": "101%"}, `evictionHard: nodefs.available: "101%" is no percentage`},
	} {
		_, err := ParseThresholds(tt.text)
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%v: got %v, want %s", tt.text, err, tt.want)
		}
	}
	if got, err := ParseThresholds(map[string]string{"memory.available": "0%"}); len(got) != 0 || err != nil {
		t.Errorf("got %v, %v for a signal that is switched off", got, err)
	}
}

func TestDamper(t *testing.T) {
	d := Damper{Period: 5 * time.Minute}
	now := facts().Now.Time
	for _, step := range []struct {
		after       time.Duration
		short, want bool
	}{{0, false, false}, {time.Minute, true, true}, {time.Minute, false, true}, {3 * time.Minute, false, true}, {time.Minute, false, false}} {
		now = now.Add(step.after)
		if got := d.Observe(now, Pressure{Memory: step.short}); got.Memory != step.want || got.Disk {
			t.Errorf("at %v: got %+v, want memory %t", now, got, step.want)
		}
	}
}

func TestRefuse(t *testing.T) {
	for _, tt := range []struct {
		p        Pressure
		critical bool
		qos      corev1.PodQOSClass
		want     corev1.NodeConditionType
	}{
		{Pressure{}, false, corev1.PodQOSBestEffort, ""},
		{Pressure{Memory: true}, false, corev1.PodQOSBestEffort, corev1.NodeMemoryPressure},
		{Pressure{Memory: true}, false, corev1.PodQOSBurstable, ""},
		{Pressure{Disk: true}, false, corev1.PodQOSGuaranteed, corev1.NodeDiskPressure},
		{Pressure{Memory: true, Disk: true, PID: true}, true, corev1.PodQOSBestEffort, ""},
	} {
		if got := tt.p.Refuse(tt.critical, tt.qos); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt, got, tt.want)
		}
	}
}

func TestUnwell(t *testing.T) {
	s := &runtimeapi.StatusResponse{Status: &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{
		{Type: "RuntimeReady", Status: true}, {Type: "NetworkReady", Reason: "NetworkPluginNotReady", Message: "no CNI"}}}}
	want := "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:no CNI"
	if got := unwell(s, nil); len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
