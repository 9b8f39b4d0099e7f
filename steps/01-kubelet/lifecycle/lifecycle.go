// Package lifecycle runs the hooks of containers: postStart, right after a
// container was started, and preStop, before it is stopped.
//
// A hook is a command in the container, a request to it, or a pause. Upstream:
// pkg/kubelet/lifecycle/handlers.go.
package lifecycle

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/probe"
)

// A Runtime runs commands in containers.
type Runtime interface {
	ExecSync(context.Context, *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error)
}

// A Runner runs hooks.
type Runner struct {
	Runtime Runtime

	client http.Client
}

// New returns a Runner. Certificates of containers are not verified, as
// nobody could vouch for them.
func New(rt Runtime) *Runner {
	return &Runner{Runtime: rt, client: http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
		DisableKeepAlives: true,
	}, CheckRedirect: probe.SameHost}}
}

// Run runs one hook to its end, or to that of ctx.
func (r *Runner) Run(ctx context.Context, pod *corev1.Pod, c *corev1.Container, containerID, podIP string, h *corev1.LifecycleHandler) error {
	switch {
	case h.Exec != nil:
		return r.exec(ctx, containerID, h.Exec.Command)
	case h.HTTPGet != nil:
		return r.get(ctx, c, podIP, h.HTTPGet)
	case h.Sleep != nil:
		return pause(ctx, time.Duration(h.Sleep.Seconds)*time.Second)
	}
	return fmt.Errorf("lifecycle hook of container %s names no handler", c.Name)
}

func (r *Runner) exec(ctx context.Context, id string, command []string) error {
	// A runtime behind a socket stops the command when the request's timeout
	// is over, not when the client has gone.
	timeout := int64(0)
	if end, ok := ctx.Deadline(); ok {
		timeout = max(1, int64(time.Until(end)/time.Second))
	}
	resp, err := r.Runtime.ExecSync(ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: command, Timeout: timeout})
	if err != nil {
		return fmt.Errorf("exec hook %q: %w", command, err)
	}
	if resp.ExitCode != 0 {
		return fmt.Errorf("exec hook %q: exit code %d: %s", command, resp.ExitCode,
			strings.TrimSpace(string(resp.Stdout)+string(resp.Stderr)))
	}
	return nil
}

// get counts any answer as success: a hook notifies, it does not ask.
func (r *Runner) get(ctx context.Context, c *corev1.Container, podIP string, g *corev1.HTTPGetAction) error {
	req, err := request(ctx, c, podIP, g)
	if err != nil {
		return err
	}
	resp, err := r.client.Do(req)
	if err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		req.URL.Scheme = "http"
		req.Header.Del("Authorization")
		resp, err = r.client.Do(req)
	}
	if err != nil {
		return fmt.Errorf("http hook: %w", err)
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 10<<10)
	return resp.Body.Close()
}

func request(ctx context.Context, c *corev1.Container, podIP string, g *corev1.HTTPGetAction) (*http.Request, error) {
	port, err := portOf(c, g.Port)
	if err != nil {
		return nil, fmt.Errorf("http hook: %w", err)
	}
	host := g.Host
	if host == "" {
		host = podIP
	}
	req, err := probe.Request(ctx, g, net.JoinHostPort(host, strconv.Itoa(port)), "kube-lifecycle/1.37")
	if err != nil {
		return nil, fmt.Errorf("http hook: %w", err)
	}
	return req, nil
}

func portOf(c *corev1.Container, port intstr.IntOrString) (int, error) {
	if port.Type == intstr.Int {
		return port.IntValue(), nil
	}
	for _, p := range c.Ports {
		if p.Name == port.StrVal {
			return int(p.ContainerPort), nil
		}
	}
	if n, err := strconv.Atoi(port.StrVal); err == nil {
		return n, nil
	}
	return 0, fmt.Errorf("container %s has no port named %q", c.Name, port.StrVal)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("container terminated before sleep hook finished")
	}
}

// Exec returns the function with which probes run commands in containers.
func Exec(rt Runtime) func(ctx context.Context, containerID string, command []string, timeout time.Duration) (output []byte, code int, err error) {
	return func(ctx context.Context, id string, command []string, timeout time.Duration) ([]byte, int, error) {
		seconds := int64((timeout + time.Second - 1) / time.Second)
		resp, err := rt.ExecSync(ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: command, Timeout: seconds})
		if err != nil {
			return nil, 0, err
		}
		return append(resp.Stdout, resp.Stderr...), int(resp.ExitCode), nil
	}
}
