package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// NewRegistry is a registry in memory that has every image of the archives in
// dir, under the repositories of their names: of registry.k8s.io/pause:3.9 it
// serves pause:3.9. It is a mirror for every registry that the names mention.
func NewRegistry(ctx context.Context, dir string) (http.Handler, error) {
	archives, err := filepath.Glob(filepath.Join(dir, "*.tar"))
	if err != nil {
		return nil, err
	}
	if len(archives) == 0 {
		return nil, fmt.Errorf("there is no archive in %s: run images build -o %s", dir, dir)
	}
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(handler) // to fill it
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	for _, file := range archives {
		if err := push(ctx, file, host); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return handler, nil
}

func push(ctx context.Context, file, host string) error {
	work, err := os.MkdirTemp("", "images-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := unpack(file, work); err != nil {
		return err
	}
	index, err := layout.ImageIndexFromPath(work)
	if err != nil {
		return err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, d := range manifest.Manifests {
		ref, err := name.ParseReference(d.Annotations[NameAnnotation])
		if err != nil {
			return err
		}
		img, err := index.Image(d.Digest)
		if err != nil {
			return err
		}
		tag, err := name.NewTag(host + "/" + ref.Context().RepositoryStr() + ":" + ref.Identifier())
		if err != nil {
			return err
		}
		if err := remote.Push(tag, img, remote.WithContext(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// Mirrors maps the registries of the recipes to the one at host, in the form
// of the image store's mirrors.json.
func Mirrors(host string) ([]byte, error) {
	mirrors := map[string]string{}
	for _, r := range Critest() {
		for _, tag := range r.Tags {
			registry, _, _ := strings.Cut(tag, "/")
			mirrors[registry] = host
		}
	}
	return json.MarshalIndent(mirrors, "", "  ")
}

// Serve serves until ctx is done.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
