package server

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"time"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/cache"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// defaultColumns are printed of a resource that does not say what is worth seeing.
var defaultColumns = []metav1.TableColumnDefinition{
	{Name: "Name", Type: "string", Format: "name", Description: metav1.ObjectMeta{}.SwaggerDoc()["name"]},
	{Name: "Created At", Type: "date", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"]},
}

// table shows items as `kubectl get` prints them, so that every client prints the
// same, also of kinds that it does not know.
func table(row *resource.Resource, items []*cache.Item, meta metav1.ListMeta, include metav1.IncludeObjectPolicy, version string) *metav1.Table {
	t := &metav1.Table{ListMeta: meta, ColumnDefinitions: defaultColumns, Rows: make([]metav1.TableRow, 0, len(items))}
	if row.Cells != nil {
		t.ColumnDefinitions = row.Columns
	}
	for _, item := range items {
		obj := item.Object
		line := metav1.TableRow{}
		if row.Cells != nil {
			line.Cells = row.Cells(obj)
		} else {
			line.Cells = []any{obj.GetName(), obj.GetCreationTimestamp().UTC().Format(time.RFC3339)}
		}
		if row.Line != nil {
			line.Conditions = row.Line(obj)
		}
		switch include {
		case metav1.IncludeObject:
			full := obj.DeepCopyObject()
			full.GetObjectKind().SetGroupVersionKind(row.GroupVersionKind)
			line.Object = runtime.RawExtension{Object: full}
		case metav1.IncludeNone:
		default:
			line.Object = runtime.RawExtension{Object: partial(obj, version)}
		}
		t.Rows = append(t.Rows, line)
	}
	return t
}

// partial shows an object's metadata alone.
func partial(obj resource.Object, version string) *metav1.PartialObjectMetadata {
	p := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: metav1.GroupName + "/" + version, Kind: string(asPartial)}}
	obj.(metav1.ObjectMetaAccessor).GetObjectMeta().(*metav1.ObjectMeta).DeepCopyInto(&p.ObjectMeta)
	return p
}
