package wire_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/wire"
)

var (
	codecs  = serializer.NewCodecFactory(scheme.Scheme).WithoutConversion()
	podKind = corev1.SchemeGroupVersion.WithKind("Pod")
	medias  = []wire.Media{wire.JSON, wire.YAML, wire.Protobuf}
)

func pod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns", ResourceVersion: "7", Labels: map[string]string{"a": "<b>"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "ü"}}},
	}
}

// upstream is what apimachinery's own serializer makes of an object.
func upstream(t *testing.T, m wire.Media, obj runtime.Object) []byte {
	t.Helper()
	info, ok := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), string(m))
	if !ok {
		t.Fatalf("no serializer for %s", m)
	}
	var b bytes.Buffer
	if err := codecs.EncoderForVersion(info.Serializer, corev1.SchemeGroupVersion).Encode(obj, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAnObjectIsWrittenAsUpstreamDoes(t *testing.T) {
	for _, m := range medias {
		for name, obj := range map[string]*corev1.Pod{"a pod": pod("p"), "nothing": {}} {
			got, err := (&wire.Body{Object: obj}).Encode(m, podKind)
			if err != nil {
				t.Fatal(err)
			}
			if want := upstream(t, m, obj.DeepCopy()); !bytes.Equal(got, want) {
				t.Errorf("%s as %s: got\n%q, want\n%q", name, m, got, want)
			}
		}
	}
}

func TestAListIsReadBack(t *testing.T) {
	want := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "9", Continue: "more"}, Items: []corev1.Pod{*pod("a"), *pod(strings.Repeat("b", 300))}}
	for _, m := range medias {
		for _, n := range []int{0, 1, 2} {
			list := wire.List{GroupVersionKind: corev1.SchemeGroupVersion.WithKind("PodList"), ListMeta: want.ListMeta}
			for i := range n {
				list.Items = append(list.Items, &wire.Body{Object: &want.Items[i]})
			}
			parts, err := list.Parts(m)
			if err != nil {
				t.Fatal(err)
			}
			info, _ := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), string(m))
			got, kind, err := info.Serializer.Decode(bytes.Join(parts, nil), nil, nil)
			if err != nil {
				t.Fatalf("%d items as %s: %v", n, m, err)
			}
			got.GetObjectKind().SetGroupVersionKind(kind.GroupVersion().WithKind(""))
			expect := &corev1.PodList{ListMeta: want.ListMeta, Items: want.Items[:n]}
			got.(*corev1.PodList).TypeMeta = metav1.TypeMeta{}
			if !equality.Semantic.DeepEqual(got, expect) || kind.Kind != "PodList" {
				t.Errorf("%d items as %s: got %s %+v", n, m, kind, got)
			}
		}
	}
}

// A counted object tells how often it was encoded.
type counted struct {
	*corev1.Pod
	json, proto *int
}

func (c counted) MarshalJSON() ([]byte, error) { *c.json++; return json.Marshal(c.Pod) }
func (c counted) Marshal() ([]byte, error)     { *c.proto++; return c.Pod.Marshal() }

func TestAnObjectIsEncodedOnceForAll(t *testing.T) {
	var asJSON, asProto int
	body := &wire.Body{Object: counted{pod("p"), &asJSON, &asProto}}
	var wait sync.WaitGroup
	for range 20 {
		for _, m := range medias {
			wait.Go(func() {
				if _, err := body.Encode(m, podKind); err != nil {
					t.Error(err)
				}
				if _, err := body.Event(m, "ADDED", podKind); err != nil {
					t.Error(err)
				}
				list := wire.List{GroupVersionKind: corev1.SchemeGroupVersion.WithKind("PodList"), Items: []*wire.Body{body}}
				if _, err := list.Parts(m); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wait.Wait()
	if asJSON != 1 || asProto != 1 {
		t.Errorf("encoded %d times as JSON and %d times as protobuf, want once each", asJSON, asProto)
	}
}

func TestAnEventIsReadBack(t *testing.T) {
	for _, m := range []wire.Media{wire.JSON, wire.Protobuf} {
		frame, err := (&wire.Body{Object: pod("p")}).Event(m, "ADDED", podKind)
		if err != nil {
			t.Fatal(err)
		}
		info, _ := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), string(m))
		reader := info.StreamSerializer.NewFrameReader(io.NopCloser(bytes.NewReader(frame)))
		data, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		var event metav1.WatchEvent
		if _, _, err := info.StreamSerializer.Decode(data, nil, &event); err != nil {
			t.Fatalf("%s: %v", m, err)
		}
		got, kind, err := info.Serializer.Decode(event.Object.Raw, nil, nil)
		if err != nil || event.Type != "ADDED" || *kind != podKind || got.(*corev1.Pod).Name != "p" {
			t.Errorf("%s: got %s %s (%v)", m, event.Type, kind, err)
		}
	}
}

func TestWhatUpstreamHasStoredIsRead(t *testing.T) {
	var b bytes.Buffer
	if err := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(func() runtime.Object {
		p := pod("p")
		p.SetGroupVersionKind(podKind)
		return p
	}(), &b); err != nil {
		t.Fatal(err)
	}
	ours, err := wire.EncodeStored(pod("p"), podKind)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(ours, []byte("resourceVersion")) {
		t.Errorf("the resource version is stored: %s", ours)
	}
	for name, data := range map[string][]byte{"protobuf": b.Bytes(), "JSON": ours} {
		got := &corev1.Pod{}
		if err := wire.DecodeStored(data, got); err != nil || got.Name != "p" || got.Spec.Containers[0].Image != "ü" {
			t.Errorf("%s: got %v (%v)", name, got, err)
		}
	}
}

func FuzzDecodeStored(f *testing.F) {
	f.Add([]byte(`{"kind":"Pod","metadata":{"name":"p"}}`))
	f.Add([]byte("k8s\x00\x0a\x02"))
	f.Fuzz(func(t *testing.T, data []byte) {
		obj := &corev1.Pod{}
		if wire.DecodeStored(data, obj) != nil {
			return
		}
		stored, err := wire.EncodeStored(obj, podKind)
		if err != nil {
			return // a time or a quantity that has no text
		}
		if err := wire.DecodeStored(stored, &corev1.Pod{}); err != nil {
			t.Errorf("what was written can't be read: %v\n%q", err, stored)
		}
	})
}
