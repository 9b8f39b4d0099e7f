package criclient_test

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criclient"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/internal/fakecri"
)

func TestARuntimeBehindASocketAnswers(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "cri.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	fake, server := fakecri.New("web:v1"), grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(server, fake)
	runtimeapi.RegisterImageServiceServer(server, fake)
	go server.Serve(l)
	t.Cleanup(server.Stop)

	c, err := criclient.Dial(t.Context(), "unix://"+socket, "", time.Minute, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	v, err := c.Version(t.Context(), &runtimeapi.VersionRequest{})
	if err != nil || v.RuntimeName != "fakecri" {
		t.Errorf("got version %v, error %v", v, err)
	}
	images, err := c.ListImages(t.Context(), &runtimeapi.ListImagesRequest{})
	if err != nil || len(images.Images) != 1 {
		t.Errorf("got images %v, error %v", images, err)
	}
	select {
	case e, open := <-c.Subscribe(t.Context()):
		if open {
			t.Errorf("got event %v of a runtime that has none", e)
		}
	case <-time.After(10 * time.Second):
		t.Error("a runtime without events must end the subscription, or nobody knows to ask instead")
	}
}

func TestDialNamesTheEndpoint(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for _, endpoint := range []string{"unix:///no/such.sock", "tcp://127.0.0.1:1"} {
		if _, err := criclient.Dial(ctx, endpoint, "", time.Second, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), endpoint) {
			t.Errorf("got error %v, want one that names %s", err, endpoint)
		}
	}
}

// An eventful runtime has one event for each subscription, and ends it.
type eventful struct {
	*fakecri.Runtime
}

func (eventful) GetContainerEvents(_ *runtimeapi.GetEventsRequest, stream grpc.ServerStreamingServer[runtimeapi.ContainerEventResponse]) error {
	return stream.Send(&runtimeapi.ContainerEventResponse{ContainerId: "c1"})
}

// A runtime that is started again has ended the subscription.
func TestEventsGoOnWhenTheRuntimeIsBack(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "cri.sock")
	serve := func() (stop func()) {
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		server := grpc.NewServer()
		runtimeapi.RegisterRuntimeServiceServer(server, eventful{fakecri.New()})
		go server.Serve(l)
		return server.Stop
	}
	stop := serve()
	c, err := criclient.Dial(t.Context(), socket, "", time.Minute, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	events := c.Subscribe(t.Context())
	next := func(when string) {
		t.Helper()
		select {
		case e, open := <-events:
			if !open || e.ContainerId != "c1" {
				t.Fatalf("%s: got event %v, open %v", when, e, open)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: no event", when)
		}
	}
	next("at first")
	stop()
	defer serve()()
	next("after the restart")
}
