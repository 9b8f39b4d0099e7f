// Package wire is what objects look like outside of the server: JSON, YAML and
// protobuf, alone, in lists, and in the events of a watch.
//
// An object that is sent a thousand times is encoded once. That is possible
// because all the places where it appears differ only around it: alone and in an event it
// says its kind, in a list it does not, and both encodings can be taken apart
// there. So a [Body] keeps the bytes of the object without its kind, and the rest
// of this package puts bytes before and behind.
//
// The protobuf envelope is described in
// k8s.io/apimachinery/pkg/runtime/generated.proto, message Unknown.
package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// A Media is one of the media types that objects are written in.
type Media string

const (
	JSON     Media = "application/json"
	YAML     Media = "application/yaml"
	Protobuf Media = "application/vnd.kubernetes.protobuf"
)

// protobufMagic begins every object in protobuf that stands alone.
var protobufMagic = []byte("k8s\x00")

// A Body is an object and, from the first time on that they are asked for, its
// bytes. Nobody may change the object. Its methods may be called at the same time.
type Body struct {
	Object runtime.Object // without its kind

	mu    sync.Mutex // guards the fields below
	json  []byte
	proto []byte
}

// bare returns the object's bytes without its kind, as they are in a list.
func (b *Body) bare(m Media) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept, encode := &b.json, encodeJSON
	if m == Protobuf {
		kept, encode = &b.proto, encodeProtobuf
	}
	if *kept == nil {
		data, err := encode(b.Object)
		if err != nil {
			return nil, fmt.Errorf("encode %T as %s: %w", b.Object, m, err)
		}
		*kept = data
	}
	return *kept, nil
}

func encodeJSON(obj runtime.Object) ([]byte, error) { return json.Marshal(obj) }

func encodeProtobuf(obj runtime.Object) ([]byte, error) {
	p, ok := obj.(interface{ Marshal() ([]byte, error) })
	if !ok {
		return nil, errNoProtobuf{}
	}
	return p.Marshal()
}

type errNoProtobuf struct{}

func (errNoProtobuf) Error() string { return "the type has no protobuf encoding" }

// Encode returns the object as it stands alone. The caller must not change the bytes.
func (b *Body) Encode(m Media, kind schema.GroupVersionKind) ([]byte, error) {
	data, err := b.bare(m)
	if err != nil {
		return nil, err
	}
	if m == Protobuf {
		return envelope(kind, data)
	}
	data = withKind(kind, data)
	if m == YAML {
		return yaml.JSONToYAML(data)
	}
	return append(data, '\n'), nil
}

// withKind puts apiVersion and kind at the beginning of a JSON object, in the
// order in which Go's types have them.
func withKind(kind schema.GroupVersionKind, object []byte) []byte {
	return appendWithKind(make([]byte, 0, len(object)+len(kind.Group)+len(kind.Version)+len(kind.Kind)+40), kind, object)
}

func appendWithKind(out []byte, kind schema.GroupVersionKind, object []byte) []byte {
	apiVersion, name := kind.ToAPIVersionAndKind()
	out = append(out, `{"kind":`...)
	out = strconv.AppendQuote(out, name)
	out = append(out, `,"apiVersion":`...)
	out = strconv.AppendQuote(out, apiVersion)
	if string(object) != "{}" {
		out = append(out, ',')
	}
	return append(out, object[1:]...)
}

func envelope(kind schema.GroupVersionKind, object []byte) ([]byte, error) {
	u := runtime.Unknown{Raw: object}
	u.APIVersion, u.Kind = kind.ToAPIVersionAndKind()
	data := make([]byte, len(protobufMagic)+u.Size())
	copy(data, protobufMagic)
	_, err := u.MarshalToSizedBuffer(data[len(protobufMagic):])
	return data, err
}

// Encode returns any object that is sent once, a Status for example, as it
// stands alone.
func Encode(m Media, obj runtime.Object, kind schema.GroupVersionKind) ([]byte, error) {
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	defer obj.GetObjectKind().SetGroupVersionKind(kind)
	return (&Body{Object: obj}).Encode(m, kind)
}

// EncodeStored returns the object as it is kept in the store: JSON, with the
// kind, without the resource version, which is the store's own to say.
func EncodeStored(obj runtime.Object, kind schema.GroupVersionKind) ([]byte, error) {
	o := obj.(metav1.Object)
	version := o.GetResourceVersion()
	o.SetResourceVersion("")
	defer o.SetResourceVersion(version)
	return Encode(JSON, obj, kind)
}

// A List is what a list of objects is written from.
type List struct {
	schema.GroupVersionKind // of the list: "PodList"
	metav1.ListMeta
	Items []*Body
}

// Parts returns the list as bytes in several pieces, most of them those of the
// items, which the caller must not change.
func (l *List) Parts(m Media) ([][]byte, error) {
	bare := make([][]byte, len(l.Items))
	for i, item := range l.Items {
		var err error
		if bare[i], err = item.bare(m); err != nil {
			return nil, err
		}
	}
	if m == Protobuf {
		return l.protobuf(bare)
	}
	parts, err := l.json(bare)
	if err != nil || m != YAML {
		return parts, err
	}
	data, err := yaml.JSONToYAML(bytes.Join(parts, nil))
	return [][]byte{data}, err
}

func (l *List) json(bare [][]byte) ([][]byte, error) {
	meta, err := json.Marshal(l.ListMeta)
	if err != nil {
		return nil, err
	}
	head := withKind(l.GroupVersionKind, []byte(`{"metadata":`))
	parts := make([][]byte, 0, 2*len(bare)+4)
	parts = append(parts, head, meta, []byte(`,"items":[`))
	comma := []byte{','}
	for i, item := range bare {
		if i > 0 {
			parts = append(parts, comma)
		}
		parts = append(parts, item)
	}
	return append(parts, []byte("]}\n")), nil
}

// The fields of every list type in protobuf, and of the envelope.
const (
	tagListMeta = 1<<3 | 2
	tagListItem = 2<<3 | 2
	tagRaw      = 2<<3 | 2
)

// protobuf makes the envelope and the list by hand, so that the list does not
// have to be in one piece.
func (l *List) protobuf(bare [][]byte) ([][]byte, error) {
	meta, err := l.ListMeta.Marshal()
	if err != nil {
		return nil, err
	}
	items := make([][]byte, 0, 2*len(bare))
	size := 0
	for _, item := range bare {
		head := append([]byte{tagListItem}, varint(len(item))...)
		size += len(head) + len(item)
		items = append(items, head, item)
	}
	list := append([]byte{tagListMeta}, varint(len(meta))...)
	list = append(list, meta...)
	// The envelope of nothing: the type, a raw field of no length, and two empty
	// strings. The list goes into the raw field.
	empty, err := envelope(l.GroupVersionKind, []byte{})
	if err != nil {
		return nil, err
	}
	at := bytes.LastIndex(empty, []byte{tagRaw, 0})
	head := append(bytes.Clone(empty[:at]), tagRaw)
	head = append(head, varint(size+len(list))...)
	parts := append([][]byte{append(head, list...)}, items...)
	return append(parts, empty[at+2:]), nil
}

func varint(n int) []byte {
	var b []byte
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}
