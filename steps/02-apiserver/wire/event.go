package wire

import (
	"encoding/binary"
	"strconv"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Frames are the bytes of one change, as those who watch are told of it, each made
// for the first who asks. The zero value is ready. Get may be called at the same time.
type Frames struct {
	mu   sync.Mutex // guards made
	made []frame
}

type frame struct {
	media Media
	event string
	bytes []byte
}

// Get returns what b.Event does. All calls are about the same object, which is b's.
func (f *Frames) Get(b *Body, m Media, event string, kind schema.GroupVersionKind) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, known := range f.made {
		if known.media == m && known.event == event {
			return known.bytes, nil
		}
	}
	data, err := b.Event(m, event, kind)
	if err == nil {
		f.made = append(f.made, frame{m, event, data})
	}
	return data, err
}

// Event returns the object within an event of a watch. In JSON that is a line. In
// protobuf it is a message with its length before it, see
// k8s.io/apimachinery/pkg/runtime/serializer/protobuf, LengthDelimitedFramer.
func (b *Body) Event(m Media, event string, kind schema.GroupVersionKind) ([]byte, error) {
	bare, err := b.bare(m)
	if err != nil {
		return nil, err
	}
	if m != Protobuf {
		out := make([]byte, 0, len(bare)+len(kind.Group)+len(kind.Version)+len(kind.Kind)+96)
		out = append(out, `{"type":`...)
		out = strconv.AppendQuote(out, event)
		out = append(out, `,"object":`...)
		out = appendWithKind(out, kind, bare)
		return append(out, "}\n"...), nil
	}
	object, err := envelope(kind, bare)
	if err != nil {
		return nil, err
	}
	e := metav1.WatchEvent{Type: event, Object: runtime.RawExtension{Raw: object}}
	const prefix = 4
	out := make([]byte, prefix+e.Size())
	binary.BigEndian.PutUint32(out, uint32(len(out)-prefix))
	_, err = e.MarshalToSizedBuffer(out[prefix:])
	return out, err
}
