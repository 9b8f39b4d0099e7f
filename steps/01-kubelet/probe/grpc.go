package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
)

// askGRPC calls the service grpc.health.v1.Health (gRPC Health Checking
// Protocol). Every error is a failure, as grpc_health_probe has it.
func askGRPC(ctx context.Context, g *corev1.GRPCAction, podIP string, timeout time.Duration) answer {
	if podIP == "" {
		return unknown(errors.New("the pod has no address"))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	addr := net.JoinHostPort(podIP, strconv.Itoa(int(g.Port)))
	var dialed atomic.Value // the error of the last dial, which the status does not wrap
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithUserAgent(userAgent),
		grpc.WithTransportCredentials(grpcCredentials(g)),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := dialer().DialContext(ctx, "tcp", addr)
			if err != nil {
				dialed.Store(err)
			}
			return conn, err
		}))
	if err != nil {
		return unknown(err)
	}
	defer conn.Close()
	request := &healthpb.HealthCheckRequest{}
	if g.Service != nil {
		request.Service = *g.Service
	}
	reply, err := healthpb.NewHealthClient(conn).Check(ctx, request)
	switch status.Code(err) {
	case codes.OK:
	case codes.Unimplemented:
		return failed("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): %s", status.Convert(err).Message())
	case codes.DeadlineExceeded:
		return failed("timeout: health rpc did not complete within %v", timeout)
	case codes.Unavailable:
		reason, _ := dialed.Load().(error)
		return unreached(reason, "error: failed to connect service at %q: %v", addr, err)
	default:
		return failed("error: health rpc probe failed: %v", err)
	}
	if s := reply.GetStatus(); s != healthpb.HealthCheckResponse_SERVING {
		return failed("service unhealthy (responded with %q)", s)
	}
	return answer{result: Success, output: "service healthy"}
}

func grpcCredentials(g *corev1.GRPCAction) credentials.TransportCredentials {
	if g.Mode != nil && *g.Mode == corev1.GRPCProbeModeTLS {
		return credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})
	}
	return insecure.NewCredentials()
}
