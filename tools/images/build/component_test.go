package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestComponentIsNamedAfterItsContent(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "kube-apiserver")
	write := func(content string) {
		if err := os.WriteFile(binary, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b := &Builder{Out: dir, Cache: dir}
	tag := func() string {
		if err := b.Components(t.Context(), []string{binary}); err != nil {
			t.Fatal(err)
		}
		var index v1.IndexManifest
		if err := readIndex(binary+".tar", &index); err != nil {
			t.Fatal(err)
		}
		return index.Manifests[0].Annotations[NameAnnotation]
	}
	write("one")
	one := tag()
	if want, err := ComponentTag(binary); err != nil || one != want || !strings.HasPrefix(one, "groundup.local/kube-apiserver:") {
		t.Errorf("got %s, want %s (%v)", one, want, err)
	}
	if again := tag(); again != one {
		t.Errorf("got %s for the same program, want %s", again, one)
	}
	write("two")
	if two := tag(); two == one {
		t.Errorf("got %s for another program too", two)
	}
}
