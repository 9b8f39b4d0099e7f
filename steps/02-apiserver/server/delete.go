package server

import (
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	internalscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
)

func (s *Server) delete(w http.ResponseWriter, q *request) error {
	o, err := s.deleteOptions(q)
	if err != nil {
		return err
	}
	item, gone, err := q.endpoint.registry.Delete(q.Context(), q.namespace, q.info.Name, o)
	if err != nil {
		return err
	}
	if !gone || q.endpoint.ReturnDeleted {
		code := http.StatusOK
		//lint:ignore SA1019 clients of old still send it, and are told more than those of today
		if orphan := o.OrphanDependents; !gone && orphan != nil && !*orphan {
			code = http.StatusAccepted
		}
		return q.writeItem(w, code, item)
	}
	e := q.endpoint
	status := &metav1.Status{Status: metav1.StatusSuccess, Details: &metav1.StatusDetails{
		Name: q.info.Name, Group: e.Group, Kind: e.Name, UID: item.Object.GetUID()}}
	writeObject(w, output{media: q.out.media, pretty: q.out.pretty}, http.StatusOK, status, statusKind)
	return nil
}

func (s *Server) deleteCollection(w http.ResponseWriter, q *request) error {
	list, err := q.listOptions()
	if err != nil {
		return err
	}
	o, err := s.deleteOptions(q)
	if err != nil {
		return err
	}
	page, err := q.endpoint.registry.DeleteCollection(q.Context(), q.namespace, list, o)
	if err != nil {
		return err
	}
	return q.writeList(w, page)
}

// deleteOptions are in the body, or in the query if there is none.
func (s *Server) deleteOptions(q *request) (*metav1.DeleteOptions, error) {
	o := &metav1.DeleteOptions{}
	data, err := body(q.Request)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		err = options(q.URL.Query(), o)
	} else {
		err = s.decodeDeleteOptions(q, data, o)
	}
	if err != nil {
		return nil, err
	}
	return o, invalid("DeleteOptions", metav1validation.ValidateDeleteOptions(o))
}

// decodeDeleteOptions takes them as clients of today send them, in the group
// meta.k8s.io, and as a kind of every other group, as those of old do.
func (s *Server) decodeDeleteOptions(q *request, data []byte, into *metav1.DeleteOptions) error {
	info, err := s.codec.serializer(q.Request)
	if err != nil {
		return err
	}
	kind := metav1.SchemeGroupVersion.WithKind("DeleteOptions")
	if own, ok := runtime.SerializerInfoForMediaType(internalscheme.Codecs.SupportedMediaTypes(), info.MediaType); ok {
		obj, _, err := own.Serializer.Decode(data, &kind, into)
		if err == nil && obj == into {
			return nil
		}
		if err != nil && !runtime.IsNotRegisteredError(err) {
			return apierrors.NewBadRequest(err.Error())
		}
	}
	obj, _, err := info.Serializer.Decode(data, &kind, into)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if obj != into {
		return apierrors.NewBadRequest("decoded object cannot be converted to DeleteOptions")
	}
	return nil
}
