// Package printing writes the line that kubectl shows for an object.
//
// kubectl does not know what is worth showing of a kind: it asks for a table,
// and the server says which columns there are and what stands in them. That is
// why `kubectl get` can print kinds that it has never heard of. A column of
// priority 1 is shown with -o wide only. The columns and words are those of
// upstream's pkg/printers/internalversion/printers.go, since scripts cut them apart.
//
// Each kind has a list of columns and a function that returns a cell for each.
package printing

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

type (
	columnDefinition = metav1.TableColumnDefinition
	columns          = []columnDefinition
)

// column is one that is always shown, of a text.
func column(name, description string) columnDefinition {
	return columnDefinition{Name: name, Type: "string", Description: description}
}

// wide is a column for those who ask for more.
func wide(name, description string) columnDefinition {
	c := column(name, description)
	c.Priority = 1
	return c
}

// typed is a column of something else than a text.
func typed(kind, name, description string) columnDefinition {
	c := column(name, description)
	c.Type = kind
	return c
}

// doc is what the API says of a field.
func doc(of interface{ SwaggerDoc() map[string]string }, field string) string {
	return of.SwaggerDoc()[field]
}

var (
	name = columnDefinition{Name: "Name", Type: "string", Format: "name", Description: doc(metav1.ObjectMeta{}, "name")}
	age  = column("Age", doc(metav1.ObjectMeta{}, "creationTimestamp"))
)

const (
	none    = "<none>"
	unknown = "<unknown>"
)

// or is the first of the texts that is not empty.
func or(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// since is how long ago something was, as short as people say it: 5d3h.
func since(t time.Time) string {
	if t.IsZero() {
		return unknown
	}
	return duration.HumanDuration(time.Since(t))
}

func ageOf(o metav1.Object) string { return since(o.GetCreationTimestamp().Time) }

// NamespaceColumns are the columns of namespaces.
var NamespaceColumns = columns{name, column("Status", "The status of the namespace"), age}

// Namespace is the line of a namespace.
func Namespace(ns *corev1.Namespace) []any {
	return []any{ns.Name, string(ns.Status.Phase), ageOf(ns)}
}
