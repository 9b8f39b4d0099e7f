package wire

import (
	"encoding/binary"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// AppendEvent appends one event of a watch to dst: its type, and the object as it
// stands alone. In JSON that is a line. In protobuf it is a message with its length before
// it, see k8s.io/apimachinery/pkg/runtime/serializer/protobuf, LengthDelimitedFramer.
func AppendEvent(dst []byte, m Media, event string, object []byte) ([]byte, error) {
	if m != Protobuf {
		dst = append(dst, `{"type":`...)
		dst = strconv.AppendQuote(dst, event)
		dst = append(dst, `,"object":`...)
		dst = append(dst, object...)
		return append(dst, "}\n"...), nil
	}
	e := metav1.WatchEvent{Type: event, Object: runtime.RawExtension{Raw: object}}
	size := e.Size()
	dst = binary.BigEndian.AppendUint32(dst, uint32(size))
	n := len(dst)
	dst = append(dst, make([]byte, size)...)
	_, err := e.MarshalToSizedBuffer(dst[n:])
	return dst, err
}
