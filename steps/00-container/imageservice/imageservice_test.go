package imageservice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/k8s-groundup/groundup/steps/00-container/image"
	"github.com/k8s-groundup/groundup/steps/00-container/image/layer"
)

// newClient serves an empty store over gRPC, as the kubelet would reach it.
func newClient(t *testing.T) runtimeapi.ImageServiceClient {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("unpacking layers needs root: it sets owners and makes whiteouts")
	}
	store, err := image.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", t.TempDir()+"/cri.sock")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	runtimeapi.RegisterImageServiceServer(server, New(store, "runc"))
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("unix://"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return runtimeapi.NewImageServiceClient(conn)
}

// newRegistry serves one image, web:1 run by user, to whoever says user:secret.
func newRegistry(t *testing.T, user string) (host string) {
	t.Helper()
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	host = strings.TrimPrefix(server.URL, "http://")
	img, err := random.Image(100, 0)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config.Config.User = user
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(host + "/web:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Push(tag, img, remote.WithAuth(&authn.Basic{Username: "user", Password: "secret"})); err != nil {
		t.Fatal(err)
	}
	return host
}

func spec(ref string) *runtimeapi.ImageSpec { return &runtimeapi.ImageSpec{Image: ref} }

func TestLifeOfAnImage(t *testing.T) {
	client, ref := newClient(t), newRegistry(t, "1000:1000")+"/web:1"
	ctx := t.Context()
	auth := &runtimeapi.AuthConfig{Username: "user", Password: "secret"}
	pulled, err := client.PullImage(ctx, &runtimeapi.PullImageRequest{Image: spec(ref), Auth: auth})
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{ref, pulled.ImageRef} {
		got, err := client.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: spec(by), Verbose: true})
		if err != nil {
			t.Fatal(err)
		}
		img := got.GetImage()
		if img.GetId() != pulled.ImageRef || img.GetUid().GetValue() != 1000 || img.GetSize() == 0 || !strings.Contains(got.Info["info"], "layers") {
			t.Errorf("status of %s: got %v", by, got)
		}
	}
	for filter, want := range map[string]int{"": 1, ref: 1, "busybox": 0} {
		got, err := client.ListImages(ctx, &runtimeapi.ListImagesRequest{Filter: &runtimeapi.ImageFilter{Image: spec(filter)}})
		if err != nil || len(got.Images) != want {
			t.Errorf("list with filter %q: got %v, %v; want %d images", filter, got, err, want)
		}
	}
	usage, err := client.ImageFsInfo(ctx, &runtimeapi.ImageFsInfoRequest{})
	if err != nil || len(usage.ImageFilesystems) != 1 || usage.ImageFilesystems[0].UsedBytes.Value == 0 {
		t.Errorf("usage: got %v, %v", usage, err)
	}
	for range 2 { // the second time it is gone already
		if _, err := client.RemoveImage(ctx, &runtimeapi.RemoveImageRequest{Image: spec(ref)}); err != nil {
			t.Error(err)
		}
	}
	gone, err := client.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: spec(ref)})
	if err != nil || gone.Image != nil {
		t.Errorf("status after removal: got %v, %v; want an empty response", gone, err)
	}
}

func TestStreamImagesSendsEachOnce(t *testing.T) {
	client, host := newClient(t), newRegistry(t, "")
	auth := &runtimeapi.AuthConfig{Auth: "dXNlcjpzZWNyZXQ="}
	if _, err := client.PullImage(t.Context(), &runtimeapi.PullImageRequest{Image: spec(host + "/web:1"), Auth: auth}); err != nil {
		t.Fatal(err)
	}
	stream, err := client.StreamImages(t.Context(), &runtimeapi.StreamImagesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n += len(r.Images)
	}
	if n != 1 {
		t.Errorf("got %d images; want 1", n)
	}
}

func TestPullErrors(t *testing.T) {
	client, host := newClient(t), newRegistry(t, "")
	good := &runtimeapi.AuthConfig{Username: "user", Password: "secret"}
	for _, c := range []struct {
		name  string
		image *runtimeapi.ImageSpec
		auth  *runtimeapi.AuthConfig
		want  codes.Code
	}{
		{"bad reference", spec("UPPER//case"), nil, codes.InvalidArgument},
		{"empty reference", spec(""), nil, codes.InvalidArgument},
		{"no credentials", spec(host + "/web:1"), nil, codes.Unauthenticated},
		{"wrong password", spec(host + "/web:1"), &runtimeapi.AuthConfig{Username: "user", Password: "guess"}, codes.Unauthenticated},
		{"malformed auth", spec(host + "/web:1"), &runtimeapi.AuthConfig{Auth: "%"}, codes.InvalidArgument},
		{"no such tag", spec(host + "/web:2"), good, codes.NotFound},
		{"unreachable", spec("127.0.0.1:1/web"), nil, codes.Unavailable},
		{"unknown handler", &runtimeapi.ImageSpec{Image: host + "/web:1", RuntimeHandler: "magic"}, good, codes.InvalidArgument},
	} {
		_, err := client.PullImage(t.Context(), &runtimeapi.PullImageRequest{Image: c.image, Auth: c.auth})
		if got := status.Code(err); got != c.want {
			t.Errorf("%s: got %v (%v); want %v", c.name, got, err, c.want)
		}
	}
}

func TestUser(t *testing.T) {
	for in, want := range map[string]struct {
		uid  *runtimeapi.Int64Value
		name string
	}{
		"":          {nil, ""},
		"0":         {&runtimeapi.Int64Value{Value: 0}, ""},
		"1000:2000": {&runtimeapi.Int64Value{Value: 1000}, ""},
		"app":       {nil, "app"},
		"app:staff": {nil, "app"},
	} {
		uid, name := user(in)
		if (uid == nil) != (want.uid == nil) || uid.GetValue() != want.uid.GetValue() || name != want.name {
			t.Errorf("user(%q): got %v, %q; want %v, %q", in, uid, name, want.uid, want.name)
		}
	}
}

func TestCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want codes.Code
	}{
		{image.ErrNotFound, codes.NotFound},
		{image.ErrAmbiguous, codes.InvalidArgument},
		{layer.ErrCorrupt, codes.DataLoss},
		{context.Canceled, codes.Canceled},
		{context.DeadlineExceeded, codes.DeadlineExceeded},
		{&transport.Error{StatusCode: 503}, codes.Unavailable},
		{&transport.Error{StatusCode: 403}, codes.PermissionDenied},
		{errors.New("disk full"), codes.Unknown},
	} {
		if got := status.Code(grpcError(fmt.Errorf("pull web: %w", c.err))); got != c.want {
			t.Errorf("%v: got %v; want %v", c.err, got, c.want)
		}
	}
}
