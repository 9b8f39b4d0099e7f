package cluster

import (
	"slices"
	"testing"
)

func TestImported(t *testing.T) {
	for _, c := range []struct {
		name, mark, stored string
		want               bool
	}{
		{"as it was left", "monday\nsha256:a\nsha256:b\n", "sha256:b\nsha256:a\n", true},
		{"another archive", "sunday\nsha256:a\n", "sha256:a\n", false},
		{"an image has been removed", "monday\nsha256:a\nsha256:b\n", "sha256:a\n", false},
		{"a mark that names no image", "monday", "sha256:a\n", false},
	} {
		if got := imported(c.mark, "monday", func() string { return c.stored }); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
	said := "groundup.local/web:v1 sha256:a\nruntime: a warning of several words\n"
	if got := imageIDs(said); !slices.Equal(got, []string{"sha256:a"}) {
		t.Errorf("got %v, want sha256:a", got)
	}
}
