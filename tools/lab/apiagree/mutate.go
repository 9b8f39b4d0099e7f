package apiagree

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A pool has values that stand somewhere in the seeds: by their type, and texts by the
// field in which they stand as well, so that what is put together is mostly plausible.
type pool struct {
	rand   *rand.Rand
	values map[reflect.Type][]reflect.Value
	texts  map[string][]string
}

func newPool(r *rand.Rand) *pool {
	return &pool{rand: r, values: map[reflect.Type][]reflect.Value{}, texts: map[string][]string{}}
}

// anywhere are texts that are wrong or odd in most places.
var anywhere = []string{"", "a", "A", "a_b", "a.b", "-a", "a/b", "/a", "a b", "..", "0", "1.2.3.4", "::1", "example.com/x", "kubernetes.io/x", "None", "Always",
	strings.Repeat("a", 64), strings.Repeat("a", 254), "ä"}

var numbers = []int64{-1, 0, 1, 2, 10, 80, 100, 256, 1000, 30000, 65535, 65536, 1<<31 - 1}

var quantities = []string{"0", "1", "-1", "1.5", "100m", "0.5m", "1Gi", "2Gi", "1e3", "64Mi"}

// learn takes the parts of an object into the pool.
func (p *pool) learn(v reflect.Value, field string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			p.learn(v.Elem(), field)
		}
	case reflect.Struct:
		if v.Type() != reflect.TypeFor[resource.Quantity]() {
			p.values[v.Type()] = append(p.values[v.Type()], v)
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				p.learn(v.Field(i), f.Name)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			p.learn(v.Index(i), field)
		}
	case reflect.Map:
		for _, k := range keys(v) {
			p.learn(k, field)
			p.learn(v.MapIndex(k), field)
		}
	case reflect.String:
		key := textKey(v.Type(), field)
		if !slices.Contains(p.texts[key], v.String()) {
			p.texts[key] = append(p.texts[key], v.String())
		}
	}
}

func textKey(t reflect.Type, field string) string {
	if t.PkgPath() != "" {
		return t.String()
	}
	return field
}

// change changes one thing in a value that can be set.
func (p *pool) change(v reflect.Value, field string) {
	switch {
	case v.Type() == reflect.TypeFor[resource.Quantity]():
		v.Set(reflect.ValueOf(resource.MustParse(pick(p.rand, quantities))))
		return
	case v.Type() == reflect.TypeFor[intstr.IntOrString]():
		if p.rand.IntN(2) == 0 {
			v.Set(reflect.ValueOf(intstr.FromInt32(int32(pick(p.rand, numbers)))))
		} else {
			v.Set(reflect.ValueOf(intstr.FromString(pick(p.rand, []string{"http", "25%", "HTTP", "", "80"}))))
		}
		return
	case v.Type() == reflect.TypeFor[metav1.Time](), v.Type() == reflect.TypeFor[metav1.MicroTime]():
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		switch {
		case v.IsNil():
			v.Set(reflect.New(v.Type().Elem()))
			p.fill(v.Elem(), field)
		case p.rand.IntN(5) == 0:
			v.SetZero()
		default:
			p.change(v.Elem(), field)
		}
	case reflect.Struct:
		p.changeField(v)
	case reflect.Slice:
		p.changeSlice(v, field)
	case reflect.Map:
		p.changeMap(v, field)
	default:
		p.fill(v, field)
	}
}

func (p *pool) changeField(v reflect.Value) {
	if known := p.values[v.Type()]; len(known) > 0 && p.rand.IntN(6) == 0 {
		v.Set(deepCopy(pick(p.rand, known)))
		return
	}
	for range 20 {
		i := p.rand.IntN(v.NumField())
		f := v.Type().Field(i)
		if !f.IsExported() || f.Type == reflect.TypeFor[metav1.TypeMeta]() || f.Name == "ManagedFields" ||
			f.Type == reflect.TypeFor[metav1.ObjectMeta]() && p.rand.IntN(4) > 0 {
			continue
		}
		p.change(v.Field(i), f.Name)
		return
	}
}

func (p *pool) changeSlice(v reflect.Value, field string) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		v.SetBytes([]byte(pick(p.rand, anywhere)))
		return
	}
	i := 0
	if n := v.Len(); n > 0 {
		i = p.rand.IntN(n)
	}
	switch dice := p.rand.IntN(10); {
	case v.Len() == 0, dice < 2:
		e := reflect.New(v.Type().Elem()).Elem()
		p.fill(e, field)
		v.Set(reflect.Append(v, e))
	case dice == 2:
		v.Set(reflect.AppendSlice(v.Slice(0, i), v.Slice(i+1, v.Len())))
	case dice == 3:
		v.Set(reflect.Append(v, deepCopy(v.Index(i))))
	default:
		p.change(v.Index(i), field)
	}
}

// keys are those of a map of texts, in order: the same chance is to change the same.
func keys(m reflect.Value) []reflect.Value {
	return slices.SortedFunc(slices.Values(m.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
}

func (p *pool) changeMap(v reflect.Value, field string) {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	keys := keys(v)
	if len(keys) > 0 && p.rand.IntN(4) == 0 {
		v.SetMapIndex(pick(p.rand, keys), reflect.Value{})
		return
	}
	key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
	if len(keys) > 0 && p.rand.IntN(2) == 0 {
		key = pick(p.rand, keys)
	} else {
		p.fill(key, field)
	}
	p.fill(value, field)
	v.SetMapIndex(key, value)
}

// fill makes a value out of nothing, or out of what is known.
func (p *pool) fill(v reflect.Value, field string) {
	switch v.Kind() {
	case reflect.Struct:
		if known := p.values[v.Type()]; len(known) > 0 {
			v.Set(deepCopy(pick(p.rand, known)))
			if p.rand.IntN(3) > 0 {
				return
			}
		}
		p.change(v, field)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		p.fill(v.Elem(), field)
	case reflect.String:
		if known := p.texts[textKey(v.Type(), field)]; len(known) > 0 && p.rand.IntN(3) > 0 {
			v.SetString(pick(p.rand, known))
		} else {
			v.SetString(pick(p.rand, anywhere))
		}
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int32, reflect.Int64, reflect.Int:
		n := pick(p.rand, numbers)
		v.SetInt(n)
	case reflect.Slice, reflect.Map:
		p.change(v, field)
	}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func deepCopy(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(deepCopy(v.Elem()))
		}
	case reflect.Struct:
		out.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(deepCopy(v.Field(i)))
			}
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				out.Index(i).Set(deepCopy(v.Index(i)))
			}
		}
	case reflect.Map:
		if !v.IsNil() {
			out.Set(reflect.MakeMap(v.Type()))
			for _, k := range v.MapKeys() {
				out.SetMapIndex(k, deepCopy(v.MapIndex(k)))
			}
		}
	default:
		out.Set(v)
	}
	return out
}
