// Package criclient makes a container runtime behind a socket look like one in
// this process: the kubelet calls the CRI's server interfaces, and does not see
// which of the two it has.
package criclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A Client forwards calls to a runtime. What the kubelet has no use for it does
// not forward: those methods answer Unimplemented.
type Client struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	runtimeapi.UnimplementedImageServiceServer

	// Timeout bounds every call but those that may take as long as they take:
	// pulls, streams and commands.
	Timeout time.Duration

	runtime runtimeapi.RuntimeServiceClient
	images  runtimeapi.ImageServiceClient
	conns   []*grpc.ClientConn
	log     *slog.Logger
}

var (
	_ runtimeapi.RuntimeServiceServer = (*Client)(nil)
	_ runtimeapi.ImageServiceServer   = (*Client)(nil)
)

// maxMessage is the largest answer that is taken, as upstream's: the list of
// a full node's containers is longer than gRPC's own limit.
const maxMessage = 16 << 20

// Dial connects to a runtime, and to an image service unless that endpoint is
// empty or the same, and waits until the runtime answers or ctx is done.
func Dial(ctx context.Context, runtime, images string, timeout time.Duration, log *slog.Logger) (*Client, error) {
	c := &Client{Timeout: timeout, log: log}
	conn, err := c.dial(runtime)
	if err != nil {
		return nil, err
	}
	c.runtime, c.images = runtimeapi.NewRuntimeServiceClient(conn), runtimeapi.NewImageServiceClient(conn)
	if images != "" && images != runtime {
		conn, err := c.dial(images)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.images = runtimeapi.NewImageServiceClient(conn)
	}
	if _, err := c.runtime.Version(ctx, &runtimeapi.VersionRequest{}, grpc.WaitForReady(true)); err != nil {
		return nil, errors.Join(fmt.Errorf("container runtime at %s: %w", runtime, err), c.Close())
	}
	return c, nil
}

func (c *Client) dial(endpoint string) (*grpc.ClientConn, error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "unix://" + endpoint
	}
	if !strings.HasPrefix(endpoint, "unix://") {
		return nil, fmt.Errorf("container runtime at %s: want a unix:// endpoint", endpoint)
	}
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("container runtime at %s: %w", endpoint, err)
	}
	c.conns = append(c.conns, conn)
	return conn, nil
}

// Close ends the connections.
func (c *Client) Close() error {
	var errs []error
	for _, conn := range c.conns {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}

// Subscribe delivers container events until ctx is done, and then closes the channel.
// A runtime without events is no error: the channel is closed at once, and the kubelet
// asks from time to time anyway. One that ends is subscribed to again when it is back.
func (c *Client) Subscribe(ctx context.Context) <-chan *runtimeapi.ContainerEventResponse {
	events := make(chan *runtimeapi.ContainerEventResponse)
	go func() {
		defer close(events)
		for {
			err := c.forward(ctx, events)
			if ctx.Err() != nil || status.Code(err) == codes.Unimplemented {
				return
			}
			c.log.Warn("no events from the container runtime: subscribing again", "err", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return
			}
		}
	}()
	return events
}

// forward delivers the events of one subscription, to its end.
func (c *Client) forward(ctx context.Context, events chan<- *runtimeapi.ContainerEventResponse) error {
	stream, err := c.runtime.GetContainerEvents(ctx, &runtimeapi.GetEventsRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	for {
		e, err := stream.Recv()
		if err != nil {
			return err
		}
		select {
		case events <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// call forwards one call within the time that it may take; 0 is no limit.
func call[Req, Resp any](ctx context.Context, limit time.Duration, f func(context.Context, Req, ...grpc.CallOption) (Resp, error), r Req) (Resp, error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	return f(ctx, r)
}
