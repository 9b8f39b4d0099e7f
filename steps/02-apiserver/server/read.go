package server

import (
	"bufio"
	"bytes"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/cache"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/registry"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/wire"
)

func (s *Server) get(w http.ResponseWriter, q *request) error {
	item, err := q.endpoint.registry.Get(q.Context(), q.namespace, q.info.Name, q.URL.Query().Get("resourceVersion"))
	if err != nil {
		return err
	}
	return q.writeItem(w, http.StatusOK, item)
}

// writeItem answers with one object.
func (q *request) writeItem(w http.ResponseWriter, code int, item *cache.Item) error {
	row := &q.endpoint.Resource
	kind := metav1.SchemeGroupVersion
	kind.Version = q.out.version
	switch q.out.form {
	case asTable:
		include, err := q.include()
		if err != nil {
			return err
		}
		meta := metav1.ListMeta{ResourceVersion: item.Object.GetResourceVersion()}
		writeObject(w, q.out, code, table(row, []*cache.Item{item}, meta, include, q.out.version), kind.WithKind("Table"))
	case asPartial:
		writeObject(w, q.out, code, partial(item.Object, q.out.version), kind.WithKind(string(asPartial)))
	default:
		data, err := item.Encode(q.out.media, row.GroupVersionKind)
		if err != nil {
			return err
		}
		writeBytes(w, q.out, code, data)
	}
	return nil
}

// include is how much of an object a table shows besides its cells.
func (q *request) include() (metav1.IncludeObjectPolicy, error) {
	var o metav1.TableOptions
	if err := options(q.URL.Query(), &o); err != nil {
		return "", err
	}
	if errs := metav1validation.ValidateTableOptions(&o); len(errs) > 0 {
		return "", apierrors.NewBadRequest("Unable to convert to Table as requested: " + errs[0].Error())
	}
	return o.IncludeObject, nil
}

func (s *Server) list(w http.ResponseWriter, q *request) error {
	o, err := q.listOptions()
	if err != nil {
		return err
	}
	page, err := q.endpoint.registry.List(q.Context(), q.namespace, o)
	if err != nil {
		return err
	}
	return q.writeList(w, page)
}

// writeList answers with a list. Objects that have been sent before have their
// bytes already.
func (q *request) writeList(w http.ResponseWriter, page *registry.Page) error {
	row := &q.endpoint.Resource
	meta := metav1.ListMeta{ResourceVersion: strconv.FormatInt(page.Revision, 10), Continue: page.Continue, RemainingItemCount: page.Remaining}
	kind := metav1.SchemeGroupVersion
	kind.Version = q.out.version
	switch q.out.form {
	case asTable:
		include, err := q.include()
		if err != nil {
			return err
		}
		writeObject(w, q.out, http.StatusOK, table(row, page.Items, meta, include, q.out.version), kind.WithKind("Table"))
		return nil
	case asPartial:
		list := &metav1.PartialObjectMetadataList{ListMeta: meta, Items: make([]metav1.PartialObjectMetadata, len(page.Items))}
		for i, item := range page.Items {
			list.Items[i] = *partial(item.Object, q.out.version)
		}
		writeObject(w, q.out, http.StatusOK, list, kind.WithKind("PartialObjectMetadataList"))
		return nil
	}
	list := wire.List{GroupVersionKind: row.GroupVersion().WithKind(row.Kind + "List"), ListMeta: meta, Items: make([]*wire.Body, len(page.Items))}
	for i, item := range page.Items {
		list.Items[i] = &item.Body
	}
	if q.out.pretty && q.out.media == wire.JSON {
		return q.writePretty(w, &list)
	}
	parts, err := list.Parts(q.out.media)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", string(q.out.media))
	w.Header().Set("Cache-Control", "no-cache, private")
	b := bufio.NewWriterSize(w, 64<<10)
	for _, part := range parts {
		b.Write(part)
	}
	b.Flush() // an error means that the client has gone
	return nil
}

func (q *request) writePretty(w http.ResponseWriter, list *wire.List) error {
	parts, err := list.Parts(q.out.media)
	if err == nil {
		writeBytes(w, q.out, http.StatusOK, bytes.Join(parts, nil))
	}
	return err
}
