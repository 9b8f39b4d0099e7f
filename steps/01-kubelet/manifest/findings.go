package manifest

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// findings collects what is wrong with a pod, in the order in which it is met.
type findings struct{ list field.ErrorList }

func (f *findings) required(p *field.Path, detail string) {
	f.list = append(f.list, field.Required(p, detail))
}

func (f *findings) forbidden(p *field.Path, detail string) {
	f.list = append(f.list, field.Forbidden(p, detail))
}

func (f *findings) duplicate(p *field.Path, value any) {
	f.list = append(f.list, field.Duplicate(p, value))
}

// invalid adds an error for each message: none if there is none.
func (f *findings) invalid(p *field.Path, value any, messages ...string) {
	for _, m := range messages {
		f.list = append(f.list, field.Invalid(p, value, m))
	}
}

func (f *findings) add(list field.ErrorList) { f.list = append(f.list, list...) }

// oneOf wants the value to be one of those supported, which are named in the order
// that upstream names them in; an empty one is missing.
func oneOf[T ~string](f *findings, p *field.Path, value T, supported ...T) {
	if value == "" {
		f.required(p, "")
		return
	}
	someOf(f, p, value, supported...)
}

// someOf is oneOf for a field whose empty value has nothing special.
func someOf[T ~string](f *findings, p *field.Path, value T, supported ...T) {
	if !slices.Contains(supported, value) {
		f.list = append(f.list, field.NotSupported(p, value, supported))
	}
}

// optional is oneOf for a field that need not be there.
func optional[T ~string](f *findings, p *field.Path, value *T, supported ...T) {
	if value != nil {
		someOf(f, p, *value, supported...)
	}
}

// between wants min ≤ value ≤ max.
func between[T cmp.Ordered](f *findings, p *field.Path, value, min, max T, message string) {
	if value < min || value > max {
		f.invalid(p, value, message)
	}
}

// atLeastZero wants none of the values, by path, to be negative.
func (f *findings) atLeastZero(p *field.Path, value int64) {
	if value < 0 {
		f.list = append(f.list, field.Invalid(p, value, "must be greater than or equal to 0").WithOrigin("minimum"))
	}
}

// label wants the name of a container, a volume or a host.
func (f *findings) label(p *field.Path, name string) {
	f.invalid(p, name, validation.IsDNS1123Label(name)...)
}

const fileModeMessage = "must be a number between 0 and 0777 (octal), both inclusive"

func (f *findings) mode(p *field.Path, mode *int32) {
	if mode != nil {
		between(f, p, *mode, 0, 0o777, fileModeMessage)
	}
}
