package connect

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// log passes on what a container has written, and with follow, as it writes.
func (c Config) log(w http.ResponseWriter, r *http.Request, t target) error {
	o, err := logOptions(r.URL.Query())
	if err == nil {
		err = validateLog(o, t.name)
	}
	if err != nil {
		return err
	}
	pod, err := t.pod(r)
	if err != nil {
		return err
	}
	container, err := choose(pod, o.Container)
	if err != nil {
		return err
	}
	if pod.Spec.NodeName == "" { // nobody has written anything yet
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	location, err := c.at(r, t, pod, kubeletLog(o), fmt.Sprintf("/containerLogs/%s/%s/%s", pod.Namespace, pod.Name, container))
	if err != nil {
		return err
	}
	body, err := c.ask(r, t, o, location)
	if err != nil {
		return err
	}
	defer body.Close()
	if wsstream.IsWebSocketRequest(r) {
		whole := bufio.NewReader(body)                                                       // the library loses bytes that come together with the end
		_ = wsstream.NewReader(whole, true, wsstream.NewDefaultReaderProtocols()).Copy(w, r) // it has answered by then
		return nil
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
	copyLog(w, body, o.Follow)
	return nil
}

// ask gets the log from the kubelet. What the kubelet refuses is told in its words.
func (c Config) ask(r *http.Request, t target, o *corev1.PodLogOptions, location *url.URL) (io.ReadCloser, error) {
	client := http.Client{Transport: c.Kubelets.verified, CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirects forbidden") }}
	if o.InsecureSkipTLSVerifyBackend {
		client.Transport = c.Kubelets.trusting
	}
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, location.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(ask)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 50_000))
	switch {
	case err != nil:
		return nil, apierrors.NewInternalError(err)
	case response.StatusCode == http.StatusInternalServerError:
		return nil, apierrors.NewInternalError(errors.New(string(text)))
	case response.StatusCode == http.StatusBadRequest:
		return nil, apierrors.NewBadRequest(string(text))
	}
	return nil, apierrors.NewGenericServerResponse(response.StatusCode, "", schema.GroupResource{Resource: "pods/log"}, t.name, string(text), 0, false)
}

// copyLog gives up when either side does: there is nobody to tell.
func copyLog(w http.ResponseWriter, body io.Reader, follow bool) {
	if !follow {
		_, _ = io.Copy(w, body)
		return
	}
	control, buf := http.NewResponseController(w), make([]byte, 32<<10)
	_ = control.Flush() // the client sees at once that it is connected
	for {
		n, err := body.Read(buf)
		if _, e := w.Write(buf[:n]); e != nil || control.Flush() != nil || err != nil {
			return
		}
	}
}
