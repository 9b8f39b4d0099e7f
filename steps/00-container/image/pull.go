package image

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// PullOptions say how to pull. The zero value pulls for this machine's
// platform with the credentials of Docker's config file.
type PullOptions struct {
	Platform  *v1.Platform
	Auth      authn.Authenticator // instead of Docker's config
	Transport http.RoundTripper   // instead of the default, for a private CA or a test

	// Progress is told about each piece that arrives: often, from several
	// goroutines, never two at once.
	Progress func(Progress)
}

// Progress is the state of a pull. What was in the store already counts as done.
type Progress struct {
	Name               string // fully qualified
	Layers, LayersDone int
	Bytes, BytesDone   int64 // compressed
}

// Pull fetches an image from its registry and names it. A pulled tag also
// leaves the digest it stood for, so that the node can tell what it runs.
//
// Errors of the registry are *transport.Error, which has the HTTP status.
func (s *Store) Pull(ctx context.Context, ref string, o PullOptions) (Image, error) {
	r, err := parse(ref)
	if err != nil {
		return Image{}, err
	}
	img, err := s.pull(ctx, r, o)
	if err != nil {
		return Image{}, fmt.Errorf("pull %s: %w", qualified(r), err)
	}
	return img, nil
}

func (s *Store) pull(ctx context.Context, r name.Reference, o PullOptions) (Image, error) {
	if o.Transport == nil {
		o.Transport = remote.DefaultTransport
	}
	var err error
	if o.Transport, err = s.mirrored(o.Transport); err != nil {
		return Image{}, err
	}
	found, err := remote.Get(r, o.remote(ctx)...)
	if err != nil {
		return Image{}, err
	}
	img, err := o.choose(found)
	if err != nil {
		return Image{}, err
	}
	manifest, err := img.Manifest()
	if err != nil {
		return Image{}, err
	}
	names := []string{repository(r) + "@" + found.Digest.String()}
	if tag, ok := r.(name.Tag); ok {
		names = append(names, qualified(tag))
	}
	return s.add(ctx, img, names, s.newMeter(qualified(r), manifest.Layers, o.Progress).watch)
}

func (o PullOptions) remote(ctx context.Context) []remote.Option {
	options := []remote.Option{remote.WithContext(ctx), remote.WithUserAgent("groundup"), remote.WithTransport(o.Transport)}
	if o.Auth != nil {
		options = append(options, remote.WithAuth(o.Auth))
	} else {
		options = append(options, remote.WithAuthFromKeychain(authn.DefaultKeychain))
	}
	return options
}

func (o PullOptions) choose(found *remote.Descriptor) (v1.Image, error) {
	if !found.MediaType.IsIndex() {
		return found.Image()
	}
	index, err := found.ImageIndex()
	if err != nil {
		return nil, err
	}
	if o.Platform != nil {
		return choose(index, *o.Platform)
	}
	return choose(index, thisPlatform())
}

// A meter adds up what the layers' downloads read.
type meter struct {
	report func(Progress)

	mu  sync.Mutex // guards now, and keeps reports apart
	now Progress
}

func (s *Store) newMeter(name string, layers []v1.Descriptor, report func(Progress)) *meter {
	m := &meter{report: report, now: Progress{Name: name, Layers: len(layers)}}
	for _, l := range layers {
		m.now.Bytes += l.Size
		if s.hasBlob(l.Digest, l.Size) {
			m.now.BytesDone += l.Size
			m.now.LayersDone++
		}
	}
	m.add(0, false)
	return m
}

func (m *meter) watch(r io.Reader) io.Reader { return &meteredReader{r, m} }

func (m *meter) add(n int, layerDone bool) {
	if m.report == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.BytesDone += int64(n)
	if layerDone {
		m.now.LayersDone++
	}
	m.report(m.now)
}

type meteredReader struct {
	r io.Reader
	m *meter
}

func (r *meteredReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if n > 0 || err == io.EOF {
		r.m.add(n, err == io.EOF)
	}
	return n, err
}
