package overlay

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRender(t *testing.T) {
	for _, c := range []struct {
		name string
		root Rootfs
		want string
	}{
		{"writable", Rootfs{Lower: []string{"/base", "/top"}, Upper: "/u", Work: "/w"}, "lowerdir=/top:/base,upperdir=/u,workdir=/w,volatile"},
		{"read-only", Rootfs{Lower: []string{"/base", "/top"}}, "lowerdir=/top:/base"},
		{"read-only, one layer", Rootfs{Lower: []string{"/base"}}, "lowerdir=/base:/base"},
		{"names with marks", Rootfs{Lower: []string{`/a:b,c\d`}, Upper: "/u,v", Work: "/w:x"}, `lowerdir=/a\:b\,c\\d,upperdir=/u\,v,workdir=/w\:x,volatile`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.root.render(c.root.Lower); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// The options of a mount must fit into a page.
func TestOptions(t *testing.T) {
	for _, c := range []struct {
		name          string
		layers        int
		open, tooMany bool
	}{
		{"by name", 10, false, false},
		{"by open files", 100, true, false},
		{"too many", 500, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			layers := layers(t, c.layers)
			options, files, err := Rootfs{Upper: "/u", Work: "/w"}.options(layers)
			defer func() {
				for _, f := range files {
					f.Close()
				}
			}()
			if (err != nil) != c.tooMany {
				t.Fatalf("got error %v", err)
			}
			if err != nil {
				return
			}
			if opened := len(files) == len(layers); opened != c.open || len(options) > maxOptions {
				t.Errorf("got %d open files and %d bytes of options", len(files), len(options))
			}
			if !c.open {
				return
			}
			first, _, _ := strings.Cut(strings.TrimPrefix(options, "lowerdir="), ":")
			if dir, err := os.Readlink(first); err != nil || dir != layers[len(layers)-1] {
				t.Errorf("got %s, %v as the topmost layer, want %s", dir, err, layers[len(layers)-1])
			}
		})
	}
}

func layers(t *testing.T, n int) (dirs []string) {
	t.Helper()
	parent := filepath.Join(t.TempDir(), strings.Repeat("long", 10))
	for i := range n {
		dir := filepath.Join(parent, strings.Repeat("x", i%50+1), "layer")
		dirs = append(dirs, filepath.Join(dir, strings.Repeat("y", i/50+1)))
		if err := os.MkdirAll(dirs[i], 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dirs
}

func TestMount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts")
	}
	for _, c := range []struct {
		name   string
		layers int
		marks  string // in the names of directories
	}{
		{"one layer", 1, ""},
		{"marks in names", 2, `:,\`},
		{"many layers", 100, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir() // upper and work want to be on one file system
			target := filepath.Join(dir, "target")
			if err := os.Mkdir(target, 0o755); err != nil {
				t.Fatal(err)
			}
			root := Rootfs{Upper: filepath.Join(dir, "upper"+c.marks), Work: filepath.Join(dir, "work"+c.marks)}
			for _, l := range layers(t, c.layers) {
				l += c.marks
				if err := os.MkdirAll(l, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(l, "file"), []byte(l), 0o644); err != nil {
					t.Fatal(err)
				}
				root.Lower = append(root.Lower, l)
			}
			if err := root.Mount(target, dir); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := Unmount(target); err != nil {
					t.Error(err)
				}
			}()
			if got, err := os.ReadFile(filepath.Join(target, "file")); err != nil || string(got) != root.Lower[c.layers-1] {
				t.Errorf("got %q, %v; want the topmost layer's file", got, err)
			}
			if err := os.WriteFile(filepath.Join(target, "new"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if in, err := os.ReadDir(root.Upper); err != nil || len(in) != 1 {
				t.Errorf("got %v, %v in the upper directory, want the new file", in, err)
			}
		})
	}
}

func TestUnmountTwice(t *testing.T) {
	dir := t.TempDir()
	for _, target := range []string{dir, filepath.Join(dir, "missing")} {
		if err := Unmount(target); err != nil {
			t.Errorf("unmount %s, which is no mount: %v", target, err)
		}
	}
}
