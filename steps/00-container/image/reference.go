package image

import (
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Normalize completes a reference as Docker does: nginx becomes
// docker.io/library/nginx:latest. A digest wins over a tag beside it.
func Normalize(ref string) (string, error) {
	r, err := parse(ref)
	if err != nil {
		return "", err
	}
	return qualified(r), nil
}

func parse(ref string) (name.Reference, error) {
	r, err := name.ParseReference(ref)
	if err != nil {
		return nil, fmt.Errorf("image reference %q: %w", ref, err)
	}
	return r, nil
}

// qualified spells a reference as crictl users know it: Docker Hub answers at
// index.docker.io and is written docker.io.
func qualified(r name.Reference) string {
	repo := repository(r)
	if d, ok := r.(name.Digest); ok {
		return repo + "@" + d.DigestStr()
	}
	return repo + ":" + r.Identifier()
}

func repository(r name.Reference) string {
	host, path, _ := strings.Cut(r.Context().Name(), "/")
	if host == name.DefaultRegistry {
		host = "docker.io"
	}
	return host + "/" + path
}

func isDigest(qualified string) bool { return strings.Contains(qualified, "@") }

// repositoryOf is repository for a name that is qualified already.
func repositoryOf(qualified string) string {
	if repo, _, ok := strings.Cut(qualified, "@"); ok {
		return repo
	}
	return qualified[:strings.LastIndex(qualified, ":")]
}
