package wire

import (
	"bytes"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/json"
)

// DecodeStored reads what is in the store into obj: JSON, as we write it, or
// protobuf, as upstream's server does by default.
func DecodeStored(data []byte, obj runtime.Object) error {
	raw, ok := bytes.CutPrefix(data, protobufMagic)
	if !ok {
		return json.UnmarshalCaseSensitivePreserveInts(data, obj)
	}
	var u runtime.Unknown
	if err := u.Unmarshal(raw); err != nil {
		return err
	}
	p, ok := obj.(interface{ Unmarshal([]byte) error })
	if !ok {
		return fmt.Errorf("%T: %w", obj, errNoProtobuf{})
	}
	return p.Unmarshal(u.Raw)
}
