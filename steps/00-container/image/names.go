package image

import (
	"context"
	"fmt"
	"slices"
)

// Tag gives an image one more name, which it takes from any other image.
func (s *Store) Tag(ctx context.Context, ref, newName string) (Image, error) {
	names, err := normalizeAll([]string{newName})
	if err != nil {
		return Image{}, err
	}
	unlock, err := s.lock(ctx, contentLock, shared)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	img, err := s.Resolve(ref)
	if err != nil {
		return Image{}, fmt.Errorf("tag: %w", err)
	}
	err = s.updateIndex(ctx, func(all []entry) []entry {
		i := slices.IndexFunc(all, func(e entry) bool { return e.manifest == img.manifest })
		if i < 0 {
			return all // removed meanwhile; Resolve says so
		}
		return withNames(all, all[i], names)
	})
	if err != nil {
		return Image{}, fmt.Errorf("tag %s: %w", ref, err)
	}
	return s.Resolve(newName)
}

// Pin protects an image from the kubelet's garbage collection, or ends that.
// An image that can't be pulled again should be pinned. Remove still removes it.
func (s *Store) Pin(ctx context.Context, ref string, pinned bool) error {
	img, err := s.Resolve(ref)
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	return s.updateIndex(ctx, func(all []entry) []entry {
		for i := range all {
			if all[i].manifest == img.manifest {
				all[i].pinned = pinned
			}
		}
		return all
	})
}

// Remove takes one name from an image, or all its names when ref is an id.
// With the last tag of a repository go the digests of that repository. It
// returns the names that are gone. Content that nothing needs any more is
// removed at once, unless an image is being added: then GC removes it.
func (s *Store) Remove(ctx context.Context, ref string) ([]string, error) {
	img, err := s.Resolve(ref)
	if err != nil {
		return nil, fmt.Errorf("remove: %w", err)
	}
	gone := doomed(img, ref)
	all := len(gone) == len(img.Tags)+len(img.Digests)
	err = s.updateIndex(ctx, func(entries []entry) []entry {
		return slices.DeleteFunc(entries, func(e entry) bool {
			return slices.Contains(gone, e.name) || all && e.name == "" && e.manifest == img.manifest
		})
	})
	if err != nil {
		return nil, fmt.Errorf("remove %s: %w", ref, err)
	}
	if err := s.collectIfIdle(); err != nil {
		return gone, fmt.Errorf("remove %s: %w", ref, err)
	}
	return gone, nil
}

// doomed lists the names to take from an image that was found as ref.
func doomed(img Image, ref string) []string {
	qualified, err := Normalize(ref)
	if err != nil || !img.answersTo(qualified) {
		return slices.Concat(img.Tags, img.Digests)
	}
	repo := repositoryOf(qualified)
	sameRepo := func(name string) bool { return repositoryOf(name) == repo }
	if isDigest(qualified) { // every tag of the repository is a name for the same thing
		return slices.DeleteFunc(slices.Concat(img.Tags, img.Digests), func(n string) bool { return !sameRepo(n) })
	}
	gone := []string{qualified}
	rest := slices.DeleteFunc(slices.Clone(img.Tags), func(n string) bool { return n == qualified })
	if !slices.ContainsFunc(rest, sameRepo) {
		for _, d := range img.Digests {
			if sameRepo(d) {
				gone = append(gone, d)
			}
		}
	}
	return gone
}
