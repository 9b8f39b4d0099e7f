package openapi

import (
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Extensions by which clients of Kubernetes read more out of a document than
// others do.
const (
	extensionKind     = "x-kubernetes-group-version-kind"
	extensionAction   = "x-kubernetes-action"
	extensionStrategy = "x-kubernetes-patch-strategy"
	extensionMergeKey = "x-kubernetes-patch-merge-key"
	extensionListType = "x-kubernetes-list-type"
	extensionListKeys = "x-kubernetes-list-map-keys"
	extensionMapType  = "x-kubernetes-map-type"
)

// What a type may say of itself. Those of the API do.
type (
	named      interface{ OpenAPIModelName() string }
	documented interface{ SwaggerDoc() map[string]string }
	formatted  interface {
		OpenAPISchemaType() []string
		OpenAPISchemaFormat() string
	}
	several interface{ OpenAPIV3OneOfTypes() []string }
)

// as asks a type, and not a value, for what it says of itself.
func as[T any](t reflect.Type) (T, bool) {
	v, ok := reflect.New(t).Interface().(T)
	return v, ok
}

// schemas collects the definitions of types, and of those that they consist of.
type schemas struct {
	kinds       map[string]kinds
	definitions spec.Definitions
	oneOf       map[string][]string // by definition: the types that a value may have, if several
}

// kindsOfTypes finds out what the scheme's types are called.
func (d *Documents) kindsOfTypes() map[string]kinds {
	served := map[schema.GroupVersion]bool{{Version: "v1"}: true}
	for _, r := range d.rows {
		served[r.GroupVersion()] = true
	}
	all := map[string]kinds{}
	for kind, t := range d.scheme.AllKnownTypes() {
		if kind.Version != runtime.APIVersionInternal && (served[kind.GroupVersion()] || !strings.Contains(t.PkgPath(), "/meta/")) {
			all[modelName(t)] = append(all[modelName(t)], kind)
		}
	}
	for _, list := range all {
		slices.SortFunc(list, func(a, b schema.GroupVersionKind) int { return strings.Compare(a.String(), b.String()) })
	}
	return all
}

// modelName is the name of a type in documents: io.k8s.api.core.v1.Pod.
func modelName(t reflect.Type) string {
	if n, ok := as[named](t); ok {
		return n.OpenAPIModelName()
	}
	domain, rest, _ := strings.Cut(t.PkgPath(), "/")
	parts := strings.Split(domain, ".")
	slices.Reverse(parts)
	return strings.Join(append(parts, strings.Split(rest, "/")...), ".") + "." + t.Name()
}

// of returns the schema of a value of a type: for a struct, a reference to its
// definition.
func (s *schemas) of(t reflect.Type) spec.Schema {
	if t.Kind() == reflect.Pointer {
		return s.of(t.Elem())
	}
	if _, ok := as[formatted](t); ok || t.Kind() == reflect.Struct {
		return s.reference(t)
	}
	switch t.Kind() {
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return plain("string", "byte")
		}
		items := s.of(t.Elem())
		return spec.Schema{SchemaProps: spec.SchemaProps{Type: spec.StringOrArray{"array"}, Items: &spec.SchemaOrArray{Schema: &items}}}
	case reflect.Map:
		values := s.of(t.Elem())
		return spec.Schema{SchemaProps: spec.SchemaProps{Type: spec.StringOrArray{"object"},
			AdditionalProperties: &spec.SchemaOrBool{Allows: true, Schema: &values}}}
	case reflect.Interface:
		return plain("object", "")
	}
	out := scalar(t.Kind())
	out.Enum = enums[t]
	return out
}

func scalar(kind reflect.Kind) spec.Schema {
	switch kind {
	case reflect.Bool:
		return plain("boolean", "")
	case reflect.Int32, reflect.Int16, reflect.Int8, reflect.Uint8, reflect.Uint16:
		return plain("integer", "int32")
	case reflect.Int, reflect.Int64, reflect.Uint32, reflect.Uint64:
		return plain("integer", "int64")
	case reflect.Float32, reflect.Float64:
		return plain("number", "double")
	}
	return plain("string", "")
}

func plain(kind, format string) spec.Schema {
	return spec.Schema{SchemaProps: spec.SchemaProps{Type: spec.StringOrArray{kind}, Format: format}}
}

const definitions = "#/definitions/"

// reference defines a type, if it is not yet, and refers to it.
func (s *schemas) reference(t reflect.Type) spec.Schema {
	name := modelName(t)
	if _, known := s.definitions[name]; !known {
		s.definitions[name] = spec.Schema{} // it may refer to itself
		s.definitions[name] = s.define(t, name)
	}
	return spec.Schema{SchemaProps: spec.SchemaProps{Ref: spec.MustCreateRef(definitions + name)}}
}

func (s *schemas) define(t reflect.Type, name string) spec.Schema {
	out := plain("object", "")
	if f, ok := as[formatted](t); ok {
		out = plain(f.OpenAPISchemaType()[0], f.OpenAPISchemaFormat())
	} else if !opaque[name] {
		s.fields(t, &out)
	}
	out.Description = descriptions[name]
	if d, ok := as[documented](t); ok {
		out.Description = d.SwaggerDoc()[""]
	}
	if n, ok := as[several](t); ok {
		s.oneOf[name] = n.OpenAPIV3OneOfTypes()
	}
	if atomicTypes[name] {
		out.AddExtension(extensionMapType, "atomic")
	}
	if kinds := s.kinds[name]; len(kinds) > 0 {
		var list []any
		for _, k := range kinds {
			list = append(list, kindExtension(k))
		}
		out.AddExtension(extensionKind, list)
	}
	return out
}

func kindExtension(k schema.GroupVersionKind) map[string]any {
	return map[string]any{"group": k.Group, "version": k.Version, "kind": k.Kind}
}

// fields adds those of a struct, as its JSON has them.
func (s *schemas) fields(t reflect.Type, out *spec.Schema) {
	docs := map[string]string{}
	if d, ok := as[documented](t); ok {
		docs = d.SwaggerDoc()
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case !f.IsExported() || name == "-":
		case name == "": // inline
			s.fields(deref(f.Type), out)
		default:
			p := s.of(f.Type)
			p.Description = docs[name]
			markers(&p, f, modelName(t)+"."+name)
			out.SetProperty(name, p)
			must, told := required[modelName(t)+"."+name]
			if must || !told && !strings.Contains(options, "omit") {
				out.Required = append(out.Required, name)
			}
		}
	}
	slices.Sort(out.Required)
	out.Required = slices.Compact(out.Required)
}

func deref(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// markers says how two writers' lists and maps are merged. The tags are for
// strategic merge patches; server-side apply goes by the types of lists.
func markers(p *spec.Schema, f reflect.StructField, name string) {
	strategy, key := f.Tag.Get("patchStrategy"), f.Tag.Get("patchMergeKey")
	if strategy != "" {
		p.AddExtension(extensionStrategy, strategy)
	}
	if key != "" {
		p.AddExtension(extensionMergeKey, key)
	}
	if atomicMaps[name] {
		p.AddExtension(extensionMapType, "atomic")
	}
	if p.Items == nil || strings.HasSuffix(name, "List.items") {
		return
	}
	list := lists[name]
	switch merges := strings.Contains(strategy, "merge"); {
	case list.kind != "":
	case merges && key != "":
		list = listType{"map", []string{key}}
	case merges:
		list.kind = "set"
	default:
		list.kind = "atomic"
	}
	p.AddExtension(extensionListType, list.kind)
	if len(list.keys) > 0 {
		p.AddExtension(extensionListKeys, list.keys)
	}
}
