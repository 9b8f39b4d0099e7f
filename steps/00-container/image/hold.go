package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Hold keeps the content of an image until Release, even when the image is
// removed. The holder is the id of a container; holding again replaces the
// image. Call it before [Store.Layers].
//
// A hold is as lasting as the container: nothing is synced. After a power cut it
// may be empty, and then nothing runs that would need the image.
func (s *Store) Hold(ctx context.Context, holder string, img Image) error {
	if err := checkHolder(holder); err != nil {
		return err
	}
	unlock, err := s.lock(ctx, contentLock, shared)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := s.contentOf(img); err != nil {
		return err
	}
	whole := s.path("tmp", "hold-"+holder)
	if err := os.WriteFile(whole, []byte(img.manifest.String()), 0o644); err != nil {
		return fmt.Errorf("hold image for %s: %w", holder, err)
	}
	return os.Rename(whole, s.path("holds", holder))
}

// Release ends a Hold. Releasing what is not held is fine. The content goes
// with the next [Store.GC] if nothing else needs it.
func (s *Store) Release(holder string) error {
	if err := checkHolder(holder); err != nil {
		return err
	}
	if err := os.Remove(s.path("holds", holder)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("release image of %s: %w", holder, err)
	}
	return nil
}

func checkHolder(holder string) error {
	if holder == "" || strings.HasPrefix(holder, ".") || strings.Contains(holder, "/") {
		return fmt.Errorf("hold image: bad container id %q", holder)
	}
	return nil
}

// Holders lists who holds an image.
func (s *Store) Holders(img Image) ([]string, error) {
	holds, err := s.holds()
	if err != nil {
		return nil, err
	}
	var holders []string
	for holder, manifest := range holds {
		if manifest == img.manifest {
			holders = append(holders, holder)
		}
	}
	return holders, nil
}

func (s *Store) holds() (map[string]v1.Hash, error) {
	files, err := os.ReadDir(s.path("holds"))
	if err != nil {
		return nil, err
	}
	holds := map[string]v1.Hash{}
	for _, f := range files {
		raw, err := os.ReadFile(s.path("holds", f.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // released meanwhile
		}
		if err != nil {
			return nil, err
		}
		if len(raw) == 0 {
			continue // from before a power cut
		}
		hash, err := v1.NewHash(string(raw))
		if err != nil {
			return nil, fmt.Errorf("hold %s: %w", f.Name(), err)
		}
		holds[f.Name()] = hash
	}
	return holds, nil
}
