package connect

import (
	"fmt"
	"net/http"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/proxy"
	translation "k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

func (c Config) exec(w http.ResponseWriter, r *http.Request, t target) error {
	return c.streams(w, r, t, "exec", execOptions(r.URL.Query()))
}

func (c Config) attach(w http.ResponseWriter, r *http.Request, t target) error {
	o := execOptions(r.URL.Query())
	o.Command = nil
	return c.streams(w, r, t, "attach", o)
}

// streams connects the standard streams of a process.
func (c Config) streams(w http.ResponseWriter, r *http.Request, t target, verb string, o *corev1.PodExecOptions) error {
	pod, err := t.pod(r)
	if err != nil {
		return err
	}
	container, err := choose(pod, o.Container)
	if err != nil {
		return err
	}
	location, err := c.at(r, t, pod, kubeletStreams(o), fmt.Sprintf("/%s/%s/%s/%s", verb, pod.Namespace, pod.Name, container))
	if err != nil {
		return err
	}
	translated := translation.NewStreamTranslatorHandler(location, c.Kubelets.verified, 0, translation.Options{
		Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Tty: o.TTY,
	})
	translation.NewTranslatingHandler(c.upgrade(location), translated, wsstream.IsWebSocketRequestWithStreamCloseProtocol).ServeHTTP(w, r)
	return nil
}

func (c Config) portForward(w http.ResponseWriter, r *http.Request, t target) error {
	pod, err := t.pod(r)
	if err != nil {
		return err
	}
	ports, err := kubeletPorts(r.URL.Query())
	if err != nil {
		return err
	}
	location, err := c.at(r, t, pod, ports, fmt.Sprintf("/portForward/%s/%s", pod.Namespace, pod.Name))
	if err != nil {
		return err
	}
	plain := c.upgrade(location)
	translation.NewTranslatingHandler(plain, translation.NewTunnelingHandler(plain), wsstream.IsWebSocketRequestWithTunnelingProtocol).ServeHTTP(w, r)
	return nil
}

// upgrade passes a connection on as it is, once both sides have agreed on what
// comes after HTTP.
func (c Config) upgrade(location *url.URL) *proxy.UpgradeAwareHandler {
	return proxy.NewUpgradeAwareHandler(location, c.Kubelets.verified, false, true, responder{})
}

func (t target) pod(r *http.Request) (*corev1.Pod, error) {
	obj, err := t.server.Get(r.Context(), pods, t.namespace, t.name)
	if err != nil {
		return nil, err
	}
	return obj.(*corev1.Pod), nil
}

// at is a path at the kubelet of the pod.
func (c Config) at(r *http.Request, t target, pod *corev1.Pod, query url.Values, path string) (*url.URL, error) {
	if pod.Spec.NodeName == "" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", pod.Name))
	}
	k, err := c.Kubelets.of(r.Context(), t.server, pod.Spec.NodeName)
	if err != nil {
		return nil, err
	}
	return k.url(query, path), nil
}
