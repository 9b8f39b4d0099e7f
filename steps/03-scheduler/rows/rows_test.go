package rows_test

import (
	"slices"
	"strings"
	"testing"

	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	base "github.com/k8s-groundup/groundup/steps/02-apiserver/rows"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/rows"
)

func TestRowsAreWhole(t *testing.T) {
	scheme := base.Scheme(rows.AddToScheme)
	names := map[string]bool{}
	prefixes := map[string]bool{}
	for _, r := range base.All() {
		prefixes[r.Prefix], names[r.GroupResource().String()] = true, true
	}
	for _, r := range rows.All() {
		if names[r.GroupResource().String()] || prefixes[r.Prefix] {
			t.Errorf("%s: there is another row of that name, or in that place", r.GroupResource())
		}
		names[r.GroupResource().String()], prefixes[r.Prefix] = true, true
		kinds, _, err := scheme.ObjectKinds(r.New())
		if err != nil || !slices.Contains(kinds, r.GroupVersionKind) {
			t.Errorf("%s: New makes a %v (%v), want a %s", r.GroupResource(), kinds, err, r.GroupVersionKind)
		}
		lists, _, err := scheme.ObjectKinds(r.NewList())
		if err != nil || !slices.Contains(lists, r.GroupVersion().WithKind(r.Kind+"List")) {
			t.Errorf("%s: NewList makes a %v (%v), want a %sList", r.GroupResource(), lists, err, r.Kind)
		}
		if r.Cells != nil && len(r.Cells(r.New())) != len(r.Columns) {
			t.Errorf("%s: got %d cells for %d columns", r.GroupResource(), len(r.Cells(r.New())), len(r.Columns))
		}
	}
}

func TestDisruptionBudgets(t *testing.T) {
	row := rows.DisruptionBudgets()
	one, percent, most := intstr.FromInt32(1), intstr.FromString("50%"), intstr.FromString("101%")
	for _, tt := range []struct {
		name string
		spec policyv1.PodDisruptionBudgetSpec
		want []string // the errors
	}{
		{"a number", policyv1.PodDisruptionBudgetSpec{MinAvailable: &one}, nil},
		{"a percentage", policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &percent}, nil},
		{"both", policyv1.PodDisruptionBudgetSpec{MinAvailable: &one, MaxUnavailable: &one}, []string{"minAvailable and maxUnavailable cannot be both set"}},
		{"more than all", policyv1.PodDisruptionBudgetSpec{MinAvailable: &most}, []string{`spec.minAvailable: Invalid value: "101%": must not be greater than 100%`}},
		{"less than none", policyv1.PodDisruptionBudgetSpec{MinAvailable: ptr.To(intstr.FromInt32(-1))}, []string{"spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"}},
		{"no percentage", policyv1.PodDisruptionBudgetSpec{MinAvailable: ptr.To(intstr.FromString("half"))}, []string{"a valid percent string must be"}},
		{"a selector that is none", policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a b": "c"}}}, []string{"spec.selector.matchLabels"}},
		{"an unknown policy", policyv1.PodDisruptionBudgetSpec{UnhealthyPodEvictionPolicy: ptr.To(policyv1.UnhealthyPodEvictionPolicyType("Sometimes"))}, []string{`Unsupported value: "Sometimes": supported values: "AlwaysAllow", "IfHealthyBudget"`}},
	} {
		b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "default"}, Spec: tt.spec}
		got := row.Validate(b)
		if len(got) != len(tt.want) {
			t.Errorf("%s: got %v, want %d errors", tt.name, got, len(tt.want))
			continue
		}
		for i, want := range tt.want {
			if !strings.Contains(got[i].Error(), want) {
				t.Errorf("%s: got %q, want %q in it", tt.name, got[i], want)
			}
		}
	}
}

func TestCSINodes(t *testing.T) {
	row := rows.CSINodes()
	node := func(drivers ...storagev1.CSINodeDriver) *storagev1.CSINode {
		return &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: storagev1.CSINodeSpec{Drivers: drivers}}
	}
	good := storagev1.CSINodeDriver{Name: "CSI.example.com", NodeID: "n", TopologyKeys: []string{"example.com/zone"}}
	moved, more := good, good
	moved.NodeID, more.Allocatable = "m", &storagev1.VolumeNodeResources{Count: ptr.To(int32(3))}
	for _, tt := range []struct {
		name     string
		old, new *storagev1.CSINode
		want     []string // the errors
	}{
		{"no drivers", nil, node(), nil},
		{"one", nil, node(good), nil},
		{"twice", nil, node(good, good), []string{`spec.drivers[1].name: Duplicate value: "CSI.example.com"`}},
		{"nothing said", nil, node(storagev1.CSINodeDriver{}), []string{"spec.drivers[0].name: Required value", "spec.drivers[0].nodeID: Required value"}},
		{"names that are none", nil, node(storagev1.CSINodeDriver{Name: "a b", NodeID: "n", TopologyKeys: []string{"x y"}}), []string{`spec.drivers[0].name: Invalid value: "a b"`, `spec.drivers[0]: Invalid value: "x y"`}},
		{"fewer than no volumes", nil, node(storagev1.CSINodeDriver{Name: "a", NodeID: "n", Allocatable: &storagev1.VolumeNodeResources{Count: ptr.To(int32(-1))}}), []string{"spec.drivers[0].allocatable.count: Invalid value: -1"}},
		{"a driver comes", node(), node(good), nil},
		{"more volumes", node(good), node(more), nil},
		{"another ID", node(good), node(moved), []string{"spec.drivers: Invalid value"}},
	} {
		got := row.Validate(tt.new)
		if tt.old != nil {
			got = row.ValidateUpdate(tt.new, tt.old)
		}
		if len(got) != len(tt.want) {
			t.Errorf("%s: got %v, want %d errors", tt.name, got, len(tt.want))
			continue
		}
		for i, want := range tt.want {
			if !strings.Contains(got[i].Error(), want) {
				t.Errorf("%s: got %q, want %q in it", tt.name, got[i], want)
			}
		}
	}
}
