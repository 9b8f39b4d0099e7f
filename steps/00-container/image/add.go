package image

import (
	"context"
	"fmt"
	"io"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
)

// add stores an image from anywhere, unpacks it, and only then names it: an
// image that can't be unpacked never appears in the store.
func (s *Store) add(ctx context.Context, img v1.Image, names []string, watch func(io.Reader) io.Reader) (Image, error) {
	unlock, err := s.lock(ctx, contentLock, shared)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	e, err := s.writeImage(ctx, img, watch)
	if err != nil {
		return Image{}, err
	}
	c, err := s.content(e.manifest)
	if err != nil {
		return Image{}, err
	}
	if err := s.unpackMissing(ctx, c); err != nil {
		return Image{}, err
	}
	err = s.updateIndex(ctx, func(all []entry) []entry { return withNames(all, e, names) })
	if err != nil {
		return Image{}, err
	}
	return s.Resolve(c.id.String())
}

// writeImage writes layers, config and manifest, in this order: whoever sees a
// manifest can rely on what it lists.
func (s *Store) writeImage(ctx context.Context, img v1.Image, watch func(io.Reader) io.Reader) (entry, error) {
	layers, err := img.Layers()
	if err != nil {
		return entry{}, err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(3) // as many at once as Docker
	for _, l := range layers {
		group.Go(func() error { return s.writeLayer(groupCtx, l, watch) })
	}
	if err := group.Wait(); err != nil {
		return entry{}, err
	}
	configName, err := img.ConfigName()
	if err != nil {
		return entry{}, err
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return entry{}, err
	}
	if err := s.writeDocument(ctx, configName, config); err != nil {
		return entry{}, fmt.Errorf("config: %w", err)
	}
	return s.writeManifest(ctx, img)
}

func (s *Store) writeManifest(ctx context.Context, img v1.Image) (entry, error) {
	raw, err := img.RawManifest()
	if err != nil {
		return entry{}, err
	}
	digest, err := img.Digest()
	if err != nil {
		return entry{}, err
	}
	media, err := img.MediaType()
	if err != nil {
		return entry{}, err
	}
	if err := s.writeDocument(ctx, digest, raw); err != nil {
		return entry{}, fmt.Errorf("manifest: %w", err)
	}
	return entry{manifest: digest, size: int64(len(raw)), media: media}, nil
}

func (s *Store) writeLayer(ctx context.Context, l v1.Layer, watch func(io.Reader) io.Reader) error {
	digest, err := l.Digest()
	if err != nil {
		return err
	}
	size, err := l.Size()
	if err != nil {
		return err
	}
	if s.hasBlob(digest, size) {
		return nil
	}
	r, err := l.Compressed()
	if err != nil {
		return err
	}
	defer r.Close()
	return s.writeBlob(ctx, digest, size, watch(r))
}

func unwatched(r io.Reader) io.Reader { return r }

// thisPlatform is what a node runs, unless it is asked for another platform.
func thisPlatform() v1.Platform {
	return v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
}

// choose picks the image for a platform from an index, also from an index of
// indexes. An image that does not say what it is for is taken as fitting.
func choose(index v1.ImageIndex, platform v1.Platform) (v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, d := range manifest.Manifests {
		if d.Platform != nil && !d.Platform.Satisfies(platform) {
			continue
		}
		if d.MediaType.IsImage() {
			return index.Image(d.Digest)
		}
		if nested, err := index.ImageIndex(d.Digest); d.MediaType.IsIndex() && err == nil {
			if img, err := choose(nested, platform); err == nil {
				return img, nil
			}
		}
	}
	return nil, fmt.Errorf("no image for platform %s in the index", platform)
}
