package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig/expand"
)

const (
	userAgent = "kube-probe/1.37"
	maxOutput = 10 << 10 // bytes of an answer that are looked at
	maxTries  = 3        // of a probe that could not be asked
)

// An answer is what one probe brought back: Success, Failure, or Unknown when
// the question could not be asked.
type answer struct {
	result  Result
	warning bool // a success with a remark
	refused bool // a failure: nobody listens at that port
	output  string
}

func failed(format string, args ...any) answer {
	return answer{result: Failure, output: fmt.Sprintf(format, args...)}
}

// unreached is the failure of a connection that was not made.
func unreached(err error, format string, args ...any) answer {
	a := failed(format, args...)
	a.refused = errors.Is(err, syscall.ECONNREFUSED)
	return a
}

func unknown(err error) answer { return answer{result: Unknown, output: err.Error()} }

type askFunc = func(ctx context.Context, containerID, podIP string) answer

type execFunc = func(ctx context.Context, containerID string, command []string, timeout time.Duration) ([]byte, int, error)

// asker returns the function that asks a container's probe once, or a few
// times when it can't be asked.
func asker(exec execFunc, c *corev1.Container, p *corev1.Probe) askFunc {
	timeout := time.Duration(p.TimeoutSeconds) * time.Second
	once := func(ctx context.Context, containerID, podIP string) answer {
		switch {
		case p.Exec != nil:
			return askExec(ctx, exec, containerID, expandStatic(p.Exec.Command, c.Env), timeout)
		case p.HTTPGet != nil:
			return askHTTP(ctx, c, p.HTTPGet, podIP, timeout)
		case p.TCPSocket != nil:
			return askTCP(ctx, c, p.TCPSocket, podIP, timeout)
		case p.GRPC != nil:
			return askGRPC(ctx, p.GRPC, podIP, timeout)
		}
		return unknown(fmt.Errorf("missing probe handler for container %q", c.Name))
	}
	return func(ctx context.Context, containerID, podIP string) answer {
		var a answer
		for range maxTries {
			if a = once(ctx, containerID, podIP); a.result != Unknown || ctx.Err() != nil {
				break
			}
		}
		return a
	}
}

// expandStatic replaces $(VAR) by those variables that the spec gives a value;
// what comes from elsewhere a probe does not know.
func expandStatic(command []string, env []corev1.EnvVar) []string {
	values := map[string]string{}
	lookup := func(name string) (string, bool) { v, ok := values[name]; return v, ok }
	for _, e := range env {
		if e.ValueFrom == nil {
			values[e.Name] = expand.Expand(e.Value, lookup)
		}
	}
	out := make([]string, 0, len(command))
	for _, arg := range command {
		out = append(out, expand.Expand(arg, lookup))
	}
	return out
}

func askExec(ctx context.Context, exec execFunc, containerID string, command []string, timeout time.Duration) answer {
	_, id, found := strings.Cut(containerID, "://")
	if !found {
		id = containerID
	}
	output, code, err := exec(ctx, id, command, timeout)
	text := string(output[:min(len(output), maxOutput)])
	switch {
	case errors.Is(err, context.DeadlineExceeded), status.Code(err) == codes.DeadlineExceeded:
		return failed("command timed out: %q timed out after %s", strings.Join(command, " "), timeout)
	case err != nil:
		return unknown(err)
	case code != 0:
		return answer{result: Failure, output: text}
	}
	return answer{result: Success, output: text}
}

func askTCP(ctx context.Context, c *corev1.Container, t *corev1.TCPSocketAction, podIP string, timeout time.Duration) answer {
	addr, err := address(c, t.Host, podIP, t.Port)
	if err != nil {
		return unknown(err)
	}
	d := dialer()
	d.Timeout = timeout
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return unreached(err, "%v", err)
	}
	conn.Close() // the connection was the question
	return answer{result: Success}
}

// address is where a network probe goes: the pod, unless the probe names a
// host, and a port by number or by the name that the container gives it.
func address(c *corev1.Container, host, podIP string, port intstr.IntOrString) (string, error) {
	if host == "" {
		host = podIP
	}
	if host == "" {
		return "", errors.New("the pod has no address")
	}
	n := port.IntValue()
	if port.Type == intstr.String {
		var err error
		if n, err = namedPort(c, port.StrVal); err != nil {
			return "", err
		}
	}
	if n < 1 || n > 65535 {
		return "", fmt.Errorf("invalid port number: %v", n)
	}
	return net.JoinHostPort(host, strconv.Itoa(n)), nil
}

func namedPort(c *corev1.Container, name string) (int, error) {
	for _, p := range c.Ports {
		if p.Name == name {
			return int(p.ContainerPort), nil
		}
	}
	if n, err := strconv.Atoi(name); err == nil {
		return n, nil
	}
	return 0, fmt.Errorf("port %s not found", name)
}

// dialer makes connections that leave the kernel one second after they were
// closed, instead of a minute: probes are many. Not zero, which would cut off
// what has not been sent (RST instead of FIN).
func dialer() *net.Dialer {
	return &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1, Linger: 1})
		})
		return errors.Join(cerr, err)
	}}
}
