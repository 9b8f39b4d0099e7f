package image

import (
	"fmt"
	"regexp"
	"strings"
)

var idPattern = regexp.MustCompile(`^(sha256:)?[0-9a-f]{1,64}$`)

// Resolve finds an image by name (nginx), by tag, by repository digest, by id,
// or by a prefix of its id that fits no other image. A name wins over a prefix.
func (s *Store) Resolve(ref string) (Image, error) {
	images, damaged := s.List()
	img, err := find(images, ref)
	if err != nil && damaged != nil {
		return Image{}, fmt.Errorf("%w (and the store is damaged: %w)", err, damaged)
	}
	return img, err
}

func find(images []Image, ref string) (Image, error) {
	if qualified, err := Normalize(ref); err == nil {
		for _, img := range images {
			if img.answersTo(qualified) {
				return img, nil
			}
		}
	} else if !idPattern.MatchString(ref) {
		return Image{}, err
	}
	if !idPattern.MatchString(ref) {
		return Image{}, fmt.Errorf("%s: %w", ref, ErrNotFound)
	}
	return findByID(images, strings.TrimPrefix(ref, "sha256:"))
}

// answersTo also takes the digest of the manifest itself: a multi-platform
// image is listed under the digest of its index.
func (i Image) answersTo(qualified string) bool {
	for _, names := range [][]string{i.Tags, i.Digests} {
		for _, name := range names {
			if name == qualified || repositoryOf(name)+"@"+i.manifest.String() == qualified {
				return true
			}
		}
	}
	return false
}

func findByID(images []Image, prefix string) (Image, error) {
	var found []Image
	for _, img := range images {
		if strings.HasPrefix(img.ID, "sha256:"+prefix) {
			found = append(found, img)
		}
	}
	switch len(found) {
	case 0:
		return Image{}, fmt.Errorf("%s: %w", prefix, ErrNotFound)
	case 1:
		return found[0], nil
	}
	return Image{}, fmt.Errorf("%s: %w: %s, %s, …", prefix, ErrAmbiguous, found[0].Name(), found[1].Name())
}
