package rows_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/rows"
)

// The server relies on these of every row, and a reader who adds one forgets
// them easily.
func TestRowsAreWhole(t *testing.T) {
	scheme := rows.Scheme()
	names, prefixes, short := sets.New[schema.GroupResource](), sets.New[string](), sets.New[string]()
	for _, r := range rows.All() {
		t.Run(r.GroupResource().String(), func(t *testing.T) {
			kinds, _, err := scheme.ObjectKinds(r.New())
			if err != nil || !slices.Contains(kinds, r.GroupVersionKind) {
				t.Errorf("New makes a %v (%v), want a %s", kinds, err, r.GroupVersionKind)
			}
			if r.Singular == "" || r.Name == "" {
				t.Errorf("got names %q and %q, want both", r.Name, r.Singular)
			}
			if names.Has(r.GroupResource()) {
				t.Error("there is another row of that name")
			}
			names.Insert(r.GroupResource())
			if r.SameAs == (schema.GroupResource{}) && r.Prefix != "" && prefixes.Has(r.Prefix) {
				t.Errorf("another row stores in %q as well", r.Prefix)
			}
			prefixes.Insert(r.Prefix)
			for _, s := range r.ShortNames {
				if short.Has(s) && r.SameAs == (schema.GroupResource{}) {
					t.Errorf("the short name %q is taken", s)
				}
				short.Insert(s)
			}
			if r.Prefix == "" {
				return
			}
			if r.Validate == nil || r.ValidateUpdate == nil {
				t.Error("nothing is validated, not even the name")
			}
			if list, _, err := scheme.ObjectKinds(r.NewList()); err != nil || list[0].Kind != r.Kind+"List" {
				t.Errorf("NewList makes a %v (%v), want a %sList", list, err, r.Kind)
			}
			if r.Cells != nil && len(r.Cells(r.New())) != len(r.Columns) {
				t.Errorf("got %d cells for %d columns", len(r.Cells(r.New())), len(r.Columns))
			}
		})
	}
}

func TestDefaultsTwiceAreDefaultsOnce(t *testing.T) {
	for _, r := range rows.All() {
		if r.Default == nil {
			continue
		}
		once := r.New()
		once.SetName("a")
		r.Default(once)
		twice := once.DeepCopyObject().(resource.Object)
		r.Default(twice)
		if a, b := text(t, once), text(t, twice); a != b {
			t.Errorf("%s: got %s, want %s", r.Name, b, a)
		}
	}
}

// What the codecs write they read again, in each of the three languages.
func TestCodecs(t *testing.T) {
	scheme := rows.Scheme()
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: "web"}}
	codecs := rows.Codecs(scheme)
	for _, info := range codecs.SupportedMediaTypes() {
		var text bytes.Buffer
		if err := codecs.EncoderForVersion(info.Serializer, corev1.SchemeGroupVersion).Encode(pod, &text); err != nil {
			t.Errorf("%s: %v", info.MediaType, err)
			continue
		}
		obj, kind, err := codecs.DecoderToVersion(info.Serializer, corev1.SchemeGroupVersion).Decode(text.Bytes(), nil, nil)
		if err != nil || obj.(*corev1.Pod).Name != "web" {
			t.Errorf("%s: got %v, %v, %v, want the pod", info.MediaType, obj, kind, err)
		}
	}
}

func TestStrictCodecsNameTheMistake(t *testing.T) {
	codecs := rows.StrictCodecs(rows.Scheme())
	info, _ := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), runtime.ContentTypeJSON)
	decoder := info.StrictSerializer
	_, _, err := decoder.Decode([]byte(`{"apiVersion":"v1","kind":"Pod","spec":{"nodename":"a","nodeName":"b","nodeName":"c"}}`), nil, nil)
	if !runtime.IsStrictDecodingError(err) {
		t.Fatalf("got %v, want a strict decoding error", err)
	}
	for _, want := range []string{`unknown field "spec.nodename"`, `duplicate field "spec.nodeName"`} {
		if !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestFieldsThatCanBeSelected(t *testing.T) {
	for _, test := range []struct {
		resource schema.GroupResource
		obj      string
		want     map[string]string
	}{
		{schema.GroupResource{Resource: "pods"}, `{"spec":{"nodeName":"n"},"status":{"phase":"Running","podIPs":[{"ip":"10.0.0.1"}]}}`,
			map[string]string{"spec.nodeName": "n", "status.phase": "Running", "status.podIP": "10.0.0.1", "spec.restartPolicy": "Always", "spec.hostNetwork": "false"}},
		{schema.GroupResource{Resource: "nodes"}, `{"spec":{"unschedulable":true}}`, map[string]string{"spec.unschedulable": "true"}},
		{schema.GroupResource{Resource: "namespaces"}, `{"metadata":{"name":"a"}}`, map[string]string{"status.phase": "Active", "name": "a"}},
		{schema.GroupResource{Resource: "secrets"}, `{}`, map[string]string{"type": "Opaque"}},
		{schema.GroupResource{Resource: "services"}, `{"spec":{"clusterIP":"None"}}`, map[string]string{"spec.clusterIP": "None", "spec.type": "ClusterIP"}},
		{schema.GroupResource{Resource: "events"}, `{"involvedObject":{"kind":"Pod","name":"a"},"reportingComponent":"c","reason":"r"}`,
			map[string]string{"involvedObject.kind": "Pod", "involvedObject.name": "a", "source": "c", "reportingComponent": "c", "reason": "r"}},
		{schema.GroupResource{Group: "events.k8s.io", Resource: "events"}, `{"regarding":{"kind":"Pod","name":"a"},"reportingController":"c"}`,
			map[string]string{"regarding.kind": "Pod", "regarding.name": "a", "reportingController": "c"}},
	} {
		r := row(t, test.resource)
		got := r.Fields(decoded(t, r, []byte(test.obj)))
		for key, want := range test.want {
			if got[key] != want {
				t.Errorf("%s: %s: got %q, want %q", test.resource, key, got[key], want)
			}
		}
	}
}

func row(t *testing.T, name schema.GroupResource) *resource.Resource {
	t.Helper()
	all := rows.All()
	i := slices.IndexFunc(all, func(r resource.Resource) bool { return r.GroupResource() == name })
	if i < 0 {
		t.Fatalf("there is no row %s", name)
	}
	return &all[i]
}

func TestPodsGetTimeToStop(t *testing.T) {
	seconds := func(n int64) *int64 { return &n }
	for _, test := range []struct {
		name       string
		node       string
		phase      corev1.PodPhase
		own, asked *int64
		want       int64
	}{
		{"its own time", "n", corev1.PodRunning, seconds(30), nil, 30},
		{"what was asked for", "n", corev1.PodRunning, seconds(30), seconds(5), 5},
		{"at once", "n", corev1.PodRunning, seconds(30), seconds(0), 0},
		{"negative", "n", corev1.PodRunning, seconds(30), seconds(-1), 1},
		{"nothing said", "n", corev1.PodRunning, nil, nil, 0},
		{"on no node", "", corev1.PodPending, seconds(30), nil, 0},
		{"succeeded", "n", corev1.PodSucceeded, seconds(30), nil, 0},
		{"failed, asked for", "n", corev1.PodFailed, seconds(30), seconds(9), 0},
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: test.node, TerminationGracePeriodSeconds: test.own}, Status: corev1.PodStatus{Phase: test.phase}}
		if got := row(t, schema.GroupResource{Resource: "pods"}).GracePeriod(pod, test.asked); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

// Clients that know one of two fields may write the other's.
func TestServiceAddressesGoTogether(t *testing.T) {
	for _, test := range []struct {
		name, old, obj string
		ip             string
		ips            []string
	}{
		{"made with one", "", `{"clusterIP":"10.0.0.1"}`, "10.0.0.1", []string{"10.0.0.1"}},
		{"left out", `{"clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"]}`, `{}`, "10.0.0.1", []string{"10.0.0.1"}},
		{"the list left out", `{"clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"]}`, `{"clusterIP":"10.0.0.1"}`, "10.0.0.1", []string{"10.0.0.1"}},
		{"one changed", `{"clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"]}`, `{"clusterIP":"10.0.0.2","clusterIPs":["10.0.0.1"]}`, "10.0.0.2", []string{"10.0.0.2"}},
		{"becomes a name", `{"clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"]}`, `{"type":"ExternalName","clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"]}`, "", nil},
	} {
		r := row(t, schema.GroupResource{Resource: "services"})
		var old resource.Object
		if test.old != "" {
			old = decoded(t, r, []byte(`{"spec":`+test.old+`}`))
		}
		obj := decoded(t, r, []byte(`{"spec":`+test.obj+`}`)).(*corev1.Service)
		apply(&r.Strategy, obj, old)
		if obj.Spec.ClusterIP != test.ip || !slices.Equal(obj.Spec.ClusterIPs, test.ips) {
			t.Errorf("%s: got %q and %q, want %q and %q", test.name, obj.Spec.ClusterIP, obj.Spec.ClusterIPs, test.ip, test.ips)
		}
	}
}

func TestEventsOfBothGroupsAreTheSame(t *testing.T) {
	r := row(t, schema.GroupResource{Group: "events.k8s.io", Resource: "events"})
	in := decoded(t, r, []byte(`{"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":"a"},"eventTime":"2025-01-02T03:04:05.000006Z",
		"series":{"count":2,"lastObservedTime":"2025-01-02T03:04:06.000007Z"},"reportingController":"c","reportingInstance":"i","action":"a","reason":"r",
		"regarding":{"kind":"Pod","name":"p"},"related":{"kind":"Node","name":"n"},"note":"text","type":"Normal",
		"deprecatedSource":{"component":"s"},"deprecatedFirstTimestamp":"2025-01-02T03:04:05Z","deprecatedLastTimestamp":"2025-01-02T03:04:06Z","deprecatedCount":3}`))
	stored, err := r.To(in)
	if err != nil {
		t.Fatal(err)
	}
	if e := stored.(*corev1.Event); e.Message != "text" || e.InvolvedObject.Name != "p" || e.Count != 3 {
		t.Errorf("got %+v, want the note as its message, and so on", e)
	}
	out, err := r.From(stored)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "events", []string{text(t, out)}, []string{text(t, in)})
}

func text(t *testing.T, obj any) string {
	t.Helper()
	data, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
