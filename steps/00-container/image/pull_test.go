package image

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

func newRegistry() http.Handler {
	return registry.New(registry.Logger(log.New(io.Discard, "", 0)))
}

// serve runs a registry on loopback and returns its host:port.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func push(t *testing.T, ref string, img remote.Taggable, options ...remote.Option) {
	t.Helper()
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Push(tag, img, options...); err != nil {
		t.Fatal(err)
	}
}

func TestPullNamesTagAndDigest(t *testing.T) {
	s, host := open(t), serve(t, newRegistry())
	img := build(t, map[string]string{"a": strings.Repeat("x", 1000)})
	push(t, host+"/web:1", img)
	var last Progress
	got, err := s.Pull(t.Context(), host+"/web:1", PullOptions{Progress: func(p Progress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	digest, _ := img.Digest()
	if len(got.Tags) != 1 || got.Tags[0] != host+"/web:1" || len(got.Digests) != 1 || got.Digests[0] != host+"/web@"+digest.String() {
		t.Errorf("got tags %v, digests %v", got.Tags, got.Digests)
	}
	if last.LayersDone != 1 || last.BytesDone != last.Bytes || last.Bytes < 1000 {
		t.Errorf("got last progress %+v; want all done", last)
	}
	if again, err := s.Pull(t.Context(), got.Digests[0], PullOptions{}); err != nil || again.ID != got.ID {
		t.Errorf("pull by digest: got %s, %v; want %s", again.ID, err, got.ID)
	}
}

func TestPullChoosesThePlatform(t *testing.T) {
	s, host := open(t), serve(t, newRegistry())
	arm := build(t, map[string]string{"arch": "arm"})
	here := build(t, map[string]string{"arch": "here"})
	platform := thisPlatform()
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}}},
		mutate.IndexAddendum{Add: here, Descriptor: v1.Descriptor{Platform: &platform}})
	push(t, host+"/multi", index)
	for name, c := range map[string]struct {
		platform *v1.Platform
		want     v1.Image
	}{
		"this node's": {nil, here},
		"asked for":   {&v1.Platform{OS: "linux", Architecture: "arm"}, arm},
	} {
		got, err := s.Pull(t.Context(), host+"/multi", PullOptions{Platform: c.platform})
		want, _ := c.want.ConfigName()
		if err != nil || got.ID != want.String() {
			t.Errorf("%s: got %s, %v; want %s", name, got.ID, err, want)
		}
	}
	if _, err := s.Pull(t.Context(), host+"/multi", PullOptions{Platform: &v1.Platform{OS: "plan9", Architecture: "mips"}}); err == nil {
		t.Error("got no error for a platform that the index lacks")
	}
}

func TestPullWithTLSAndCredentials(t *testing.T) {
	s := open(t)
	inner := newRegistry()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "reader" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	defer server.Close()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	// A name other than localhost, so that the registry client insists on TLS.
	ref := "registry.example:5000/private/web:1"
	dial := server.Client().Transport.(*http.Transport).Clone()
	dial.TLSClientConfig = &tls.Config{RootCAs: dial.TLSClientConfig.RootCAs, ServerName: "example.com"}
	dial.DialTLSContext, dial.DialContext = nil, dialTo(server.Listener.Addr().String())
	auth := &authn.Basic{Username: "reader", Password: "secret"}
	push(t, ref, build(t, map[string]string{"a": "1"}), remote.WithAuth(auth), remote.WithTransport(dial))

	if _, err := s.Pull(t.Context(), ref, PullOptions{Auth: auth, Transport: dial}); err != nil {
		t.Error(err)
	}
	_, err := s.Pull(t.Context(), ref, PullOptions{Auth: authn.Anonymous, Transport: dial})
	if denied, ok := errors.AsType[*transport.Error](err); !ok || denied.StatusCode != http.StatusUnauthorized {
		t.Errorf("without credentials: got %v; want 401", err)
	}
	// Docker's config file serves when nothing explicit is given.
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	config := `{"auths":{"registry.example:5000":{"username":"reader","password":"secret"}}}`
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pull(t.Context(), ref, PullOptions{Transport: dial}); err != nil {
		t.Errorf("with Docker's config: %v", err)
	}
}

func TestPullRefusesWhatTheRegistryChanged(t *testing.T) {
	s := open(t)
	inner := newRegistry()
	img := build(t, map[string]string{"a": "genuine"})
	manifest, _ := img.Manifest()
	layer := manifest.Layers[0].Digest
	host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, layer.String()) {
			_, _ = w.Write(make([]byte, manifest.Layers[0].Size))
			return
		}
		inner.ServeHTTP(w, r)
	}))
	push(t, host+"/web", img)
	if _, err := s.Pull(t.Context(), host+"/web", PullOptions{}); err == nil {
		t.Fatal("a layer of zeros was taken for the genuine one")
	}
	if images, err := s.List(); err != nil || len(images) != 0 {
		t.Errorf("got images %v, %v; want none", images, err)
	}
	if freed, err := s.GC(t.Context()); err != nil || freed.Layers != 0 {
		t.Errorf("got %+v, %v; want no unpacked layer", freed, err)
	}
}

func TestMirrorIsAskedAndNotNamed(t *testing.T) {
	s, host := open(t), serve(t, newRegistry())
	img := build(t, map[string]string{"a": "1"})
	push(t, host+"/team/web:1", img)
	if err := os.WriteFile(s.path("mirrors.json"), []byte(`{"registry.example": "`+host+`"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := s.Pull(t.Context(), "registry.example/team/web:1", PullOptions{})
	if err != nil || len(got.Tags) != 1 || got.Tags[0] != "registry.example/team/web:1" {
		t.Errorf("got %v, %v; want the name of the registry that was asked for", got.Tags, err)
	}
}
