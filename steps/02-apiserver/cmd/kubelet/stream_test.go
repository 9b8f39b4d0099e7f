package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
)

func (c *cluster) restConfig() *rest.Config {
	c.t.Helper()
	conf, err := clientcmd.BuildConfigFromFlags("", c.path("data/admin.kubeconfig"))
	c.check(err)
	return conf
}

// kubectl exec is a connection to the API server, which joins it with one to the
// kubelet.
func TestExecThroughTheAPIServer(t *testing.T) {
	c := newCluster(t)
	c.create("web", sleeper)
	c.until("web", "ready", ready)
	request := c.client.CoreV1().RESTClient().Post().Namespace("default").Resource("pods").Name("web").SubResource("exec").VersionedParams(
		&corev1.PodExecOptions{Container: "app", Command: []string{"/prog", "print", "hi", "exit", "3"}, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	socket, err := remotecommand.NewWebSocketExecutor(c.restConfig(), http.MethodGet, request.URL().String())
	c.check(err)
	old, err := remotecommand.NewSPDYExecutor(c.restConfig(), http.MethodPost, request.URL())
	c.check(err)
	for name, executor := range map[string]remotecommand.Executor{"WebSocket": socket, "SPDY": old} {
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: io.Discard})
		cancel()
		if out.String() != "hi\n" || err == nil || !strings.Contains(err.Error(), "exit code 3") {
			t.Errorf("%s: got %q, %v, want hi and exit code 3", name, out.String(), err)
		}
	}
}

func TestPortForwardThroughTheAPIServer(t *testing.T) {
	c := newCluster(t)
	c.create("web", `{terminationGracePeriodSeconds: 5, containers: [{name: app, image: 'test.local/prog:v1', args: [serve, ':80', linger, 0s],
  readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 1}}]}`)
	c.until("web", "ready", ready)
	request := c.client.CoreV1().RESTClient().Post().Namespace("default").Resource("pods").Name("web").SubResource("portforward")
	transport, upgrader, err := spdy.RoundTripperFor(c.restConfig())
	c.check(err)
	stop, ready := make(chan struct{}), make(chan struct{})
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, request.URL())
	forward, err := portforward.New(dialer, []string{"0:80"}, stop, ready, io.Discard, io.Discard)
	c.check(err)
	done := make(chan error, 1)
	go func() { done <- forward.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	ports, err := forward.GetPorts()
	c.check(err)
	for range 3 {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0].Local))
		c.check(err)
		got, err := io.ReadAll(conn)
		conn.Close()
		if string(got) != "hello\n" || err != nil {
			t.Errorf("got %q, %v, want hello", got, err)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
