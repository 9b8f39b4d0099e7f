package imageservice

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	crierrors "k8s.io/cri-api/pkg/errors"

	"github.com/k8s-groundup/groundup/steps/00-container/image"
	"github.com/k8s-groundup/groundup/steps/00-container/image/layer"
)

// grpcError gives an error of the store the code that a client acts upon. The
// kubelet knows an unreachable registry by the first word of the message.
func grpcError(err error) error {
	if err == nil {
		return nil
	}
	code := codeOf(err)
	message := err.Error()
	if code == codes.Unavailable {
		message = crierrors.ErrRegistryUnavailable.Error() + ": " + message
	}
	return status.Error(code, message)
}

func codeOf(err error) codes.Code {
	if _, ok := errors.AsType[*name.ErrBadName](err); ok {
		return codes.InvalidArgument
	}
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		return codeOfHTTP(answer.StatusCode)
	}
	switch {
	case errors.Is(err, image.ErrNotFound):
		return codes.NotFound
	case errors.Is(err, image.ErrAmbiguous):
		return codes.InvalidArgument
	case errors.Is(err, layer.ErrCorrupt):
		return codes.DataLoss
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return codes.Unavailable
	}
	return codes.Unknown
}

func codeOfHTTP(code int) codes.Code {
	switch {
	case code == http.StatusUnauthorized:
		return codes.Unauthenticated
	case code == http.StatusForbidden:
		return codes.PermissionDenied
	case code == http.StatusNotFound:
		return codes.NotFound
	case code == http.StatusTooManyRequests:
		return codes.ResourceExhausted
	case code >= 500:
		return codes.Unavailable
	}
	return codes.Unknown
}

// authenticator translates the credentials of a request; nil means none. The
// kubelet has decoded the pod's pull secrets, which may still have user and
// password in one word, as Docker's config file does.
func authenticator(a *runtimeapi.AuthConfig) (authn.Authenticator, error) {
	if a == nil {
		return nil, nil
	}
	config := authn.AuthConfig{
		Username: a.GetUsername(), Password: a.GetPassword(),
		IdentityToken: a.GetIdentityToken(), RegistryToken: a.GetRegistryToken(),
	}
	if a.GetAuth() != "" && config.Username == "" {
		raw, err := base64.StdEncoding.DecodeString(a.GetAuth())
		user, password, ok := strings.Cut(string(raw), ":")
		if err != nil || !ok {
			return nil, status.Error(codes.InvalidArgument, `credentials: auth is not base64 of "user:password"`)
		}
		config.Username, config.Password = user, strings.TrimRight(password, "\x00")
	}
	if config == (authn.AuthConfig{}) {
		return nil, nil
	}
	return authn.FromConfig(config), nil
}
