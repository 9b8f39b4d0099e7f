package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/warning"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/wire"
)

// MaxBody is how many bytes a request may have, as upstream allows. What etcd takes at
// once is half of it.
const MaxBody = 3 << 20

// body reads a request's body, of which there is a most.
func body(r *http.Request) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(max(r.ContentLength, 0), MaxBody)) + bytes.MinRead) // MinRead is for the end to be seen
	_, err := b.ReadFrom(http.MaxBytesReader(nil, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", MaxBody))
	}
	if err != nil {
		return nil, apierrors.NewBadRequest("the body could not be read: " + err.Error())
	}
	return b.Bytes(), nil
}

// A codec reads what clients send, of the kinds that a scheme knows.
type codec struct {
	scheme *runtime.Scheme
	infos  []runtime.SerializerInfo
}

func newCodec(scheme *runtime.Scheme, negotiated runtime.NegotiatedSerializer) *codec {
	return &codec{scheme, negotiated.SupportedMediaTypes()}
}

// serializer finds what reads the media type of the request; none is JSON.
func (c *codec) serializer(r *http.Request) (runtime.SerializerInfo, error) {
	media := r.Header.Get("Content-Type")
	if media == "" {
		media = string(wire.JSON)
	}
	parsed, _, err := mime.ParseMediaType(media)
	if err == nil {
		if info, ok := runtime.SerializerInfoForMediaType(c.infos, parsed); ok {
			return info, nil
		}
	}
	return runtime.SerializerInfo{}, unsupported(medias)
}

func unsupported[T ~string](accepted []T) error {
	var s []string
	for _, a := range accepted {
		s = append(s, string(a))
	}
	return statusError(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType,
		"the body of the request was in an unknown format - accepted media types include: "+strings.Join(s, ", "))
}

// decode reads an object of the given kind, which the body need not name.
// directive is fieldValidation: what happens to fields that the kind does not have.
func (c *codec) decode(ctx context.Context, info runtime.SerializerInfo, data []byte, kind schema.GroupVersionKind, into runtime.Object, directive string) error {
	s := info.Serializer
	if strict(directive) {
		s = info.StrictSerializer
	}
	obj, actual, err := s.Decode(data, &kind, into)
	if err != nil && obj != nil && runtime.IsStrictDecodingError(err) {
		err = tolerate(ctx, err, directive)
	}
	if err != nil {
		return notDecoded(err, actual, kind, data)
	}
	other := fmt.Errorf("converting (%s.%s) to (%s.%s): unknown conversion", actual.Version, actual.Kind, kind.Version, kind.Kind)
	if actual.Kind != kind.Kind {
		return notDecoded(other, actual, kind, data)
	}
	if actual.GroupVersion() != kind.GroupVersion() {
		return apierrors.NewBadRequest(fmt.Sprintf("the API version in the data (%s) does not match the expected API version (%s)",
			actual.GroupVersion(), kind.GroupVersion()))
	}
	if obj != into {
		return notDecoded(other, actual, kind, data)
	}
	return nil
}

func strict(directive string) bool {
	return directive == metav1.FieldValidationStrict || directive == metav1.FieldValidationWarn || directive == ""
}

// tolerate refuses, or warns of, what a strict reading has found.
func tolerate(ctx context.Context, err error, directive string) error {
	if directive == metav1.FieldValidationStrict {
		return err
	}
	found, _ := runtime.AsStrictDecodingError(err)
	for _, e := range found.Errors() {
		warning.AddWarning(ctx, "", e.Error())
	}
	return nil
}

// notDecoded words an error as upstream's handlers/rest.go, transformDecodeError.
func notDecoded(err error, actual *schema.GroupVersionKind, kind schema.GroupVersionKind, data []byte) error {
	if actual != nil && actual.Kind != "" {
		return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", actual.Kind, actual.Version, kind.Kind, err))
	}
	return apierrors.NewBadRequest(fmt.Sprintf("the object provided is unrecognized (must be of type %s): %v (%s)", kind.Kind, err, summary(data)))
}

// summary shows the beginning of what can't be read.
func summary(data []byte) string {
	const most = 30
	switch {
	case len(data) == 0:
		return "<empty>"
	case bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) && len(data) > most:
		return string(data[:most]) + " ..."
	case bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")):
		return string(data)
	case len(data) > most:
		return fmt.Sprintf("%x ...", data[:most])
	}
	return fmt.Sprintf("%x", data)
}
