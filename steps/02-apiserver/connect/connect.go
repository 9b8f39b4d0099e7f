// Package connect joins a client with a kubelet: logs, exec, attach, port
// forwarding, and the proxies to nodes and pods.
//
// The API server has nothing to say in these conversations. It finds out where the
// pod runs, chooses the container if the client has not, and passes on what both
// sides say, over its own TLS connection to the kubelet, with a certificate that
// the kubelet trusts. The client speaks to the kubelet as the API server
// therefore, and all authorization is done before.
//
// Several streams share one connection, and there are two protocols for that. SPDY
// is what kubelets speak. WebSocket is what clients prefer, as it passes through more
// proxies: of it, the protocol in which a stream can be closed (v5.channel.k8s.io) is
// translated here, and port forwarding tunnels SPDY inside it.
//
// Upstream: pkg/registry/core/pod/rest, pkg/kubelet/client, and
// staging/src/k8s.io/apiserver/pkg/util/proxy, which does the translation here too.
package connect

import (
	"encoding/json"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/authz"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// A Config is how kubelets are reached.
type Config struct {
	Kubelets *Kubelets

	// Authorizer is asked once more when a client opens a WebSocket, which is
	// always a GET: who may only read may not run commands.
	Authorizer authorizer.UnconditionalAuthorizer
}

var (
	pods  = schema.GroupResource{Resource: "pods"}
	nodes = schema.GroupResource{Resource: "nodes"}

	proxyMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}
)

// Subresources are what is below pods.
func Subresources(c Config) []resource.Subresource {
	return []resource.Subresource{
		below("log", "Pod", []string{http.MethodGet}, c.log),
		below("exec", "PodExecOptions", []string{http.MethodGet, http.MethodPost}, c.opened(c.exec)),
		below("attach", "PodAttachOptions", []string{http.MethodGet, http.MethodPost}, c.opened(c.attach)),
		below("portforward", "PodPortForwardOptions", []string{http.MethodGet, http.MethodPost}, c.opened(c.portForward)),
		below("proxy", "PodProxyOptions", proxyMethods, c.podProxy),
	}
}

// NodeSubresources are what is below nodes.
func NodeSubresources(c Config) []resource.Subresource {
	return []resource.Subresource{below("proxy", "NodeProxyOptions", proxyMethods, c.upgraded(c.nodeProxy))}
}

// A target is the object that a path names.
type target struct {
	server          resource.Server
	namespace, name string
}

// A handler answers, or returns why it cannot before it has.
type handler func(w http.ResponseWriter, r *http.Request, t target) error

func below(name, kind string, methods []string, h handler) resource.Subresource {
	return resource.Subresource{
		Name:             name,
		GroupVersionKind: corev1.SchemeGroupVersion.WithKind(kind),
		ConnectMethods:   methods,
		Connect: func(server resource.Server, namespace, objectName string) (http.Handler, error) {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := h(w, r, target{server, namespace, objectName}); err != nil {
					writeError(w, err)
				}
			}), nil
		},
	}
}

// opened asks whether the user may create what a GET would open.
func (c Config) opened(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request, t target) error {
		if r.Method != http.MethodGet || c.Authorizer == nil {
			return h(w, r, t)
		}
		who, _ := request.UserFrom(r.Context())
		info, ok := request.RequestInfoFrom(r.Context())
		if !ok {
			return apierrors.NewBadRequest("no request info was found")
		}
		attributes := authorizer.AttributesRecord{
			User: who, Verb: "create", Namespace: info.Namespace, APIGroup: info.APIGroup, APIVersion: info.APIVersion,
			Resource: info.Resource, Subresource: info.Subresource, Name: info.Name, ResourceRequest: true, Path: info.Path,
		}
		decision, reason, err := c.Authorizer.Authorize(r.Context(), attributes)
		switch {
		case decision == authorizer.DecisionAllow:
			return h(w, r, t)
		case err != nil:
			return apierrors.NewInternalError(err)
		}
		return authz.Forbidden(attributes, reason)
	}
}

// upgraded is opened for requests that want to take the connection over. A
// kubelet would run commands in any pod of its node for a GET of that sort, so who
// may only get nodes/proxy must not send one. Upstream lets them.
func (c Config) upgraded(h handler) handler {
	asking := c.opened(h)
	return func(w http.ResponseWriter, r *http.Request, t target) error {
		if httpstream.IsUpgradeRequest(r) {
			return asking(w, r, t)
		}
		return h(w, r, t)
	}
}

// writeError answers with a Status. An error of another kind is of the way to the
// kubelet, and is told as it is: who may connect may know why it fails.
func writeError(w http.ResponseWriter, err error) {
	status := metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: err.Error()}
	if known, ok := err.(apierrors.APIStatus); ok {
		status = known.Status()
	}
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	body, err := json.Marshal(status)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(status.Code))
	w.Write(body)
}

// responder is writeError as the proxies of the library want it.
type responder struct{}

func (responder) Error(w http.ResponseWriter, _ *http.Request, err error) { writeError(w, err) }
