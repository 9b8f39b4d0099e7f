package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/wire"
)

var statusKind = schema.GroupVersion{Version: "v1"}.WithKind("Status")

// statusError is for those errors that apimachinery has no function for.
func statusError(code int32, reason metav1.StatusReason, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message}}
}

// statusOf is what a client is told of an error.
func statusOf(err error) *metav1.Status {
	var known apierrors.APIStatus
	if errors.As(err, &known) {
		status := known.Status()
		return &status
	}
	return &metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: err.Error()}
}

// WriteError answers with a Status, as a client expects of every error.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	status := statusOf(err)
	if status.Details != nil && status.Details.RetryAfterSeconds > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(status.Details.RetryAfterSeconds)))
	}
	out, _ := negotiate(r) // who accepts nothing gets JSON
	writeObject(w, out, int(status.Code), status, statusKind)
}

// writeObject answers with an object that is encoded for this answer alone.
func writeObject(w http.ResponseWriter, out output, code int, obj runtime.Object, kind schema.GroupVersionKind) {
	data, err := wire.Encode(out.media, obj, kind)
	if err != nil && out.media != wire.JSON {
		out.media = wire.JSON
		data, err = wire.Encode(out.media, obj, kind)
	}
	if err != nil {
		http.Error(w, fmt.Sprintf("encode %s: %v", kind.Kind, err), http.StatusInternalServerError)
		return
	}
	writeBytes(w, out, code, data)
}

func writeBytes(w http.ResponseWriter, out output, code int, data []byte) {
	if out.pretty && out.media == wire.JSON {
		var b bytes.Buffer
		if json.Indent(&b, data, "", "  ") == nil {
			data = b.Bytes()
		}
	}
	h := w.Header()
	h.Set("Content-Type", string(out.media))
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache, private")
	}
	w.WriteHeader(code)
	w.Write(data) // an error means that the client has gone
}
