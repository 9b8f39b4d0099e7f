package bootable

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestArgv(t *testing.T) {
	for _, c := range []struct {
		name string
		conf Config
		args []string
		want []string // nil: an error
	}{
		{"the command", Config{Cmd: []string{"sh"}}, nil, []string{"sh"}},
		{"the entrypoint comes before it", Config{Entrypoint: []string{"/web"}, Cmd: []string{"-v"}}, nil, []string{"/web", "-v"}},
		{"arguments replace the command", Config{Entrypoint: []string{"/web"}, Cmd: []string{"-v"}}, []string{"-q"}, []string{"/web", "-q"}},
		{"nothing to run", Config{}, nil, nil},
	} {
		got, err := c.conf.Argv(c.args)
		if !slices.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestDiskWantsAConfig(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "d.qcow2")
	if err := MakeDisk(t.Context(), t.TempDir(), disk); err == nil || !strings.Contains(err.Error(), "lab bootable") {
		t.Errorf("got %v, want an error that says who makes such a root", err)
	}
	if _, err := os.Stat(disk); err == nil {
		t.Error("got a disk, want none")
	}
}

func TestWriteImage(t *testing.T) {
	layer := filepath.Join(t.TempDir(), "layer")
	if err := os.WriteFile(layer, []byte("files"), 0o600); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteImage(&b, "example/vm:v1", layer, Config{Cmd: []string{"bash"}}); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(content)
	}
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal([]byte(files["manifest.json"]), &manifest); err != nil || len(manifest) != 1 {
		t.Fatalf("got %q, %v, want one image", files["manifest.json"], err)
	}
	m := manifest[0]
	const diff = `"sha256:3d7db37d08f9140fd09f12b9621cd0954b6d56a9d2f357fb2c7f5d62636d2fd1"`
	if m.RepoTags[0] != "example/vm:v1" || files[m.Layers[0]] != "files" || !strings.Contains(files[m.Config], diff) || !strings.Contains(files[m.Config], `"Cmd":["bash"]`) {
		t.Errorf("got %+v with config %s", m, files[m.Config])
	}
}
