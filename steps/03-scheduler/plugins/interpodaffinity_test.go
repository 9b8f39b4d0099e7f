package plugins_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/framework/frameworktest"
	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
	"k8s.io/apimachinery/pkg/labels"
	configv1 "k8s.io/kube-scheduler/config/v1"
)

// near and far are pods labelled app=APP that want to be in the same zone, or
// in another, than pods that the selector means.
func near(app, selector string) string { return affine("podAffinity", app, selector) }
func far(app, selector string) string  { return affine("podAntiAffinity", app, selector) }

func affine(kind, app, selector string) string {
	return `{metadata: {labels: {app: ` + app + `}}, spec: {affinity: {` + kind + `: {requiredDuringSchedulingIgnoredDuringExecution: [
		{topologyKey: zone, labelSelector: ` + selector + `}]}}}}`
}

const (
	isWeb     = `{matchLabels: {app: web}}`
	isStore   = `{matchLabels: {app: store}}`
	isNobody  = `{matchLabels: {app: nobody}}`
	notNear   = "UnschedulableAndUnresolvable: node(s) didn't match pod affinity rules"
	notFar    = "Unschedulable: node(s) didn't match pod anti-affinity rules"
	otherFar  = "Unschedulable: node(s) didn't satisfy existing pods anti-affinity rules"
	zoneOne   = `metadata: {labels: {zone: "1"}}`
	zoneTwo   = `metadata: {labels: {zone: "2"}}`
	plainWeb  = `metadata: {labels: {app: web}}`
	otherTeam = `metadata: {namespace: other, labels: {app: web}}`
)

// town has a web pod in zone 1, on one of its two nodes, a node in zone 2, and
// one in no zone.
func town(t *testing.T, others ...*framework.Pod) *framework.Snapshot {
	t.Helper()
	snapshot := frameworktest.Snapshot(
		frameworktest.Node(t, "a", zoneOne, others...), frameworktest.Node(t, "b", zoneOne),
		frameworktest.Node(t, "c", zoneTwo), frameworktest.Node(t, "d", ""),
	)
	snapshot.Namespaces["other"] = labels.Set{"team": "other"}
	return snapshot
}

func TestInterPodAffinity(t *testing.T) {
	for _, row := range []struct {
		name       string
		other, pod string
		want       [4]string // for nodes a, b, c, d
	}{
		{"no wishes", plainWeb, plainWeb, [4]string{}},
		{"near", plainWeb, near("store", isWeb), [4]string{"", "", notNear, notNear}},
		{"near somebody who is not there", plainWeb, near("store", isNobody), [4]string{notNear, notNear, notNear, notNear}},
		{"the first of a group", plainWeb, near("store", isStore), [4]string{"", "", "", notNear}},
		{"the second of a group", near("web", isWeb), near("web", isWeb), [4]string{"", "", notNear, notNear}},
		{"far", plainWeb, far("store", isWeb), [4]string{notFar, notFar, "", ""}},
		{"the other wants to be far", far("web", isStore), `metadata: {labels: {app: store}}`, [4]string{otherFar, otherFar, "", ""}},
		{"both", far("web", isStore), far("store", isWeb), [4]string{notFar, notFar, "", ""}},
		{"another namespace", otherTeam, far("store", isWeb), [4]string{}},
		{"another namespace, named", otherTeam, strings.Replace(far("store", isWeb), "topologyKey", "namespaces: [other], topologyKey", 1),
			[4]string{notFar, notFar, "", ""}},
		{"another namespace, selected", otherTeam, strings.Replace(far("store", isWeb), "topologyKey", "namespaceSelector: {matchLabels: {team: other}}, topologyKey", 1),
			[4]string{notFar, notFar, "", ""}},
		{"all namespaces", otherTeam, strings.Replace(far("store", isWeb), "topologyKey", "namespaceSelector: {}, topologyKey", 1),
			[4]string{notFar, notFar, "", ""}},
	} {
		t.Run(row.name, func(t *testing.T) {
			snapshot, pod := town(t, frameworktest.Pod(t, "other", row.other)), frameworktest.Pod(t, "new", row.pod)
			for i, node := range []string{"a", "b", "c", "d"} {
				if got := frameworktest.Verdict(t, plugins.NewInterPodAffinity(nil), snapshot, pod, node); got != row.want[i] {
					t.Errorf("%s: got %q, want %q", node, got, row.want[i])
				}
			}
		})
	}
}

// TestInterPodAffinityHearsOfPods takes the only wanted pod away and puts it
// back, as preemption does.
func TestInterPodAffinityHearsOfPods(t *testing.T) {
	web := frameworktest.Pod(t, "web", plainWeb)
	snapshot := town(t, web)
	for _, row := range []struct{ name, pod, before, without string }{
		{"far", far("store", isWeb), notFar, ""},
		{"near", near("store", isWeb), "", notNear},
		{"near, and would be the first", near("web", isWeb), "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			result, status := plugins.NewInterPodAffinity(nil).PreFilter(snapshot, frameworktest.Pod(t, "new", row.pod))
			if !status.OK() {
				t.Fatal(status.Message())
			}
			checkTracking(t, result.Filter, snapshot.Node("b"), web, snapshot.Node("a"), row.before, row.without)
		})
	}
}

// checkTracking asks a filter about a node before a pod is removed from some
// node, without it, and when it is back; and the filter that it was cloned from.
func checkTracking(t *testing.T, filter framework.Filter, about *framework.Node, pod *framework.Pod, on *framework.Node, before, without string) {
	t.Helper()
	verdict := func(f framework.Filter) string {
		if status := f.Filter(about); !status.OK() {
			return status.Code.String() + ": " + status.Message()
		}
		return ""
	}
	clone := filter.(framework.TrackingFilter).Clone()
	check := func(when string, f framework.Filter, want string) {
		t.Helper()
		if got := verdict(f); got != want {
			t.Errorf("%s: got %q, want %q", when, got, want)
		}
	}
	check("before", clone, before)
	clone.RemovePod(pod, on)
	check("without the pod", clone, without)
	check("another clone", filter.(framework.TrackingFilter).Clone(), before)
	check("a clone of the clone", clone.Clone(), without)
	clone.AddPod(pod, on)
	check("with the pod back", clone, before)
}

func TestPreferredInterPodAffinity(t *testing.T) {
	wish := func(kind string, weight string) string {
		return `{metadata: {labels: {app: store}}, spec: {affinity: {` + kind + `: {preferredDuringSchedulingIgnoredDuringExecution: [
			{weight: ` + weight + `, podAffinityTerm: {topologyKey: zone, labelSelector: ` + isWeb + `}}]}}}}`
	}
	reverse := strings.NewReplacer("app: web", "app: store", "app: store", "app: web")
	for _, row := range []struct {
		name       string
		args       *configv1.InterPodAffinityArgs
		other, pod string
		want       map[string]int64
	}{
		{"near", nil, plainWeb, wish("podAffinity", "10"), map[string]int64{"a": 100, "b": 100, "c": 0, "d": 0}},
		{"far", nil, plainWeb, wish("podAntiAffinity", "10"), map[string]int64{"a": 0, "b": 0, "c": 100, "d": 100}},
		{"the other's wish", nil, reverse.Replace(wish("podAffinity", "10")), `metadata: {labels: {app: store}}`, map[string]int64{"a": 100, "b": 100, "c": 0, "d": 0}},
		{"the other's wish, ignored", &configv1.InterPodAffinityArgs{IgnorePreferredTermsOfExistingPods: true},
			reverse.Replace(wish("podAffinity", "10")), `metadata: {labels: {app: store}}`, map[string]int64{"a": 0, "b": 0, "c": 0, "d": 0}},
		{"what the other requires counts too", nil, near("web", isStore), `metadata: {labels: {app: store}}`, map[string]int64{"a": 100, "b": 100, "c": 0, "d": 0}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := frameworktest.Scores(t, plugins.NewInterPodAffinity(row.args), town(t, frameworktest.Pod(t, "other", row.other)), frameworktest.Pod(t, "new", row.pod))
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("scores (-want +got)\n%s", diff)
			}
		})
	}
}

func TestInterPodAffinityHints(t *testing.T) {
	checkHints(t, plugins.NewInterPodAffinity(nil), []hint{
		{name: "wanted pod comes", pod: near("store", isWeb), event: podAdded(t, plainWeb), want: true},
		{name: "other pod comes", pod: near("store", isStore), event: podAdded(t, plainWeb)},
		{name: "unwanted pod goes", pod: far("store", isWeb), event: podRemoved(t, plainWeb), want: true},
		{name: "last of the group goes", pod: near("web", isWeb), event: podRemoved(t, plainWeb), want: true},
		{name: "node comes when others refuse the pod", pod: plainWeb, event: nodeAdded(t, ""), want: true},
		{name: "pod goes that did not want it", pod: plainWeb, event: podRemoved(t, far("store", isWeb)), want: true},
		{name: "other pod goes", pod: far("store", isStore), event: podRemoved(t, plainWeb)},
		{name: "pod becomes wanted", pod: near("store", isWeb), event: podUpdated(t, "", plainWeb), want: true},
		{name: "pod is unwanted no more", pod: far("store", isWeb), event: podUpdated(t, plainWeb, ""), want: true},
		{name: "node comes without the label", pod: near("store", isWeb), event: nodeAdded(t, "")},
		{name: "node comes into a zone", pod: near("store", isWeb), event: nodeAdded(t, zoneOne), want: true},
		{name: "node changes its zone", pod: near("store", isWeb), event: nodeUpdated(t, zoneOne, zoneTwo), want: true},
		{name: "node comes, and nobody is unwanted there", pod: far("store", isWeb), event: nodeAdded(t, ""), want: true},
		{name: "node leaves its zone", pod: far("store", isWeb), event: nodeUpdated(t, zoneOne, ""), want: true},
	})
}
