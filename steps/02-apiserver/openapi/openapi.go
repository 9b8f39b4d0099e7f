// Package openapi describes the API to programs: which kinds there are, what
// fields they have, what each field means, and which requests one may send.
//
// kubectl reads it to explain kinds, to find mistakes in manifests, and to learn
// which of two lists in a patch are to be merged by what key. Upstream generates
// half a megabyte of Go for it. The types know it all themselves: their fields have
// names and tags, their comments are there as SwaggerDoc, and they carry the
// name by which documents refer to them. So this package asks them, by
// reflection, when the first client wants to know: most servers are never asked.
//
// There are two forms. Version 2 is one document of all groups. Version 3 is one
// for each group, so that a client reads what it needs; it can also say "a
// number or a string", which version 2 can't.
package openapi

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/cached"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/openapiconv"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// Documents are the descriptions of all rows of a server. Nothing is built before
// it is asked for.
type Documents struct {
	rows    []resource.Resource
	scheme  *runtime.Scheme
	version string

	kinds func() map[string]kinds
}

// kinds are the group, version and kind that a type has; some have it in every group.
type kinds []schema.GroupVersionKind

// New describes the rows, whose types the scheme knows by their kinds. The version is the
// server's: v1.37.1.
func New(rows []resource.Resource, scheme *runtime.Scheme, version string) *Documents {
	d := &Documents{rows: rows, scheme: scheme, version: version}
	d.kinds = sync.OnceValue(d.kindsOfTypes)
	return d
}

// Groups returns the groups and versions that have a document, each once, in the
// order of the rows.
func (d *Documents) Groups() []schema.GroupVersion {
	var groups []schema.GroupVersion
	for _, r := range d.rows {
		if gv := r.GroupVersion(); !slices.Contains(groups, gv) {
			groups = append(groups, gv)
		}
	}
	return groups
}

// V2 builds the one document of version 2.
func (d *Documents) V2() *spec.Swagger {
	doc, _ := d.swagger(d.rows)
	return doc
}

// V3 builds the document of a group, with all types that its kinds are made of.
func (d *Documents) V3(gv schema.GroupVersion) *spec3.OpenAPI {
	var rows []resource.Resource
	for _, r := range d.rows {
		if r.GroupVersion() == gv {
			rows = append(rows, r)
		}
	}
	v2, oneOf := d.swagger(rows)
	doc := openapiconv.ConvertV2ToV3(v2)
	for name, types := range oneOf {
		alternatives(doc.Components.Schemas[name], types)
	}
	return doc
}

// alternatives says what version 2 has no words for.
func alternatives(s *spec.Schema, types []string) {
	s.Type = nil
	for _, t := range types {
		s.OneOf = append(s.OneOf, spec.Schema{SchemaProps: spec.SchemaProps{Type: spec.StringOrArray{t}}})
	}
}

// swagger describes rows, and returns beside the document the definitions whose values are of
// one of several types.
func (d *Documents) swagger(rows []resource.Resource) (doc *spec.Swagger, oneOf map[string][]string) {
	s := &schemas{kinds: d.kinds(), definitions: spec.Definitions{}, oneOf: map[string][]string{}}
	paths := &spec.Paths{Paths: map[string]spec.PathItem{}}
	for i := range rows {
		s.describe(&rows[i], paths.Paths)
	}
	return &spec.Swagger{SwaggerProps: spec.SwaggerProps{
		Swagger:     "2.0",
		Info:        &spec.Info{InfoProps: spec.InfoProps{Title: "Kubernetes", Version: d.version}},
		Paths:       paths,
		Definitions: s.definitions,
	}}, s.oneOf
}

// Handler serves /openapi/v2, /openapi/v3 and /openapi/v3/GROUP, as JSON or
// protobuf, with entity tags. A document is built once, at its first request.
func (d *Documents) Handler() http.Handler {
	mux := http.NewServeMux()
	v2 := handler.NewOpenAPIServiceLazy(once(d.V2))
	v2.RegisterOpenAPIVersionedService("/openapi/v2", mux)

	v3 := handler3.NewOpenAPIService()
	mux.HandleFunc("/openapi/v3", v3.HandleDiscovery)
	for _, gv := range d.Groups() {
		path := groupPath(gv)[1:]
		v3.UpdateGroupVersionLazy(path, once(func() *spec3.OpenAPI { return d.V3(gv) }))
		mux.HandleFunc("/openapi/v3/"+path, v3.HandleGroupVersion)
	}
	return mux
}

// once builds a document at the first request. Its tag is that of its content, so
// that a client's copy outlives a restart of the server.
func once[T any](build func() T) cached.Value[T] {
	return cached.Once(cached.Func(func() (T, string, error) {
		doc := build()
		data, err := json.Marshal(doc)
		return doc, fmt.Sprintf("%X", sha256.Sum256(data)), err
	}))
}

// groupPath is where the resources of a group are: /api/v1, /apis/events.k8s.io/v1.
func groupPath(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "/api/" + gv.Version
	}
	return "/apis/" + gv.String()
}
