package validation

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// inside shows a value in an error as upstream does, whose inner types have no names for
// JSON and leave nothing out: {"Key":"a","Value":""}.
type inside struct{ of any }

var _ json.Marshaler = inside{}

func (i inside) MarshalJSON() ([]byte, error) {
	v := reflect.ValueOf(i.of)
	if _, ok := i.of.(json.Marshaler); ok {
		return json.Marshal(i.of)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return []byte("null"), nil
		}
		return inside{v.Elem().Interface()}.MarshalJSON()
	case reflect.Slice:
		if v.IsNil() {
			return []byte("null"), nil
		}
		return list('[', ']', v.Len(), func(n int) (string, any) { return "", v.Index(n).Interface() })
	case reflect.Struct:
		return list('{', '}', v.NumField(), func(n int) (string, any) { return v.Type().Field(n).Name, v.Field(n).Interface() })
	}
	return json.Marshal(i.of)
}

func list(open, shut byte, n int, part func(int) (name string, value any)) ([]byte, error) {
	out := bytes.NewBuffer([]byte{open})
	for i := range n {
		name, value := part(i)
		data, err := inside{value}.MarshalJSON()
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteByte(',')
		}
		if name != "" {
			out.WriteString(`"` + name + `":`)
		}
		out.Write(data)
	}
	out.WriteByte(shut)
	return out.Bytes(), nil
}
