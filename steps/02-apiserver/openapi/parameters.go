package openapi

import (
	"reflect"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Options of requests are structs of the API as well: their fields are the
// parameters of the query.
var (
	listOptions   = sync.OnceValue(func() []spec.Parameter { return fieldsOf(metav1.ListOptions{}) })
	writeOptions  = sync.OnceValue(func() []spec.Parameter { return fieldsOf(metav1.CreateOptions{}) })
	deleteOptions = sync.OnceValue(func() []spec.Parameter { return fieldsOf(metav1.DeleteOptions{}) })
)

func query(name, kind, description string) spec.Parameter {
	return parameter("query", name, kind, description)
}

func inPath(name, description string) spec.Parameter {
	p := parameter("path", name, "string", description)
	p.Required = true
	return p
}

func parameter(in, name, kind, description string) spec.Parameter {
	return spec.Parameter{
		ParamProps:        spec.ParamProps{In: in, Name: name, Description: description},
		SimpleSchema:      spec.SimpleSchema{Type: kind},
		CommonValidations: spec.CommonValidations{UniqueItems: true},
	}
}

// fieldsOf describes the fields of options that fit into a query.
func fieldsOf(options documented) (list []spec.Parameter) {
	docs := options.SwaggerDoc()
	t := reflect.TypeOf(options)
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		kind := deref(f.Type)
		if kind.Kind() == reflect.Slice { // dryRun: it may be given several times
			kind = kind.Elem()
		}
		if name == "" || kind.Kind() == reflect.Struct {
			continue
		}
		list = append(list, query(name, scalar(kind.Kind()).Type[0], docs[name]))
	}
	return list
}
