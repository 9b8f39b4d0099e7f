package bootable

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// tree describes what is below a directory: one line for each entry.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if e.Type().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rel += "=" + string(content)
		}
		lines = append(lines, rel)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, " ")
}

// layer makes a layer as step 00's store has it unpacked: "a/" is a directory, "a!"
// an opaque one, "-a" a whiteout, and "a=text" a file.
func layer(t *testing.T, entries ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, e := range entries {
		name, content, _ := strings.Cut(e, "=")
		path := filepath.Join(dir, strings.TrimLeft(strings.TrimRight(name, "/!"), "-"))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case strings.HasPrefix(name, "-"):
			err = unix.Mknod(path, unix.S_IFCHR, 0)
		case strings.HasSuffix(name, "!"):
			if err = os.Mkdir(path, 0o755); err == nil {
				err = unix.Setxattr(path, "trusted.overlay.opaque", []byte("y"), 0)
			}
		case strings.HasSuffix(name, "/"):
			err = os.Mkdir(path, 0o755)
		default:
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFlatten(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("whiteouts are devices, and files have owners: this needs root")
	}
	for _, c := range []struct {
		name   string
		layers [][]string
		want   string
	}{
		{"what is above hides what is below", [][]string{{"a=1", "b=1"}, {"a=2"}}, "a=2 b=1"},
		{"directories are merged", [][]string{{"d/", "d/a=1"}, {"d/", "d/b=2"}}, "d d/a=1 d/b=2"},
		{"an opaque one is not", [][]string{{"d/", "d/a=1"}, {"d!", "d/b=2"}}, "d d/b=2"},
		{"a whiteout removes", [][]string{{"d/", "d/a=1", "b=1"}, {"-d"}}, "b=1"},
		{"and what was removed can come back", [][]string{{"a=1"}, {"-a"}, {"a=3"}}, "a=3"},
		{"a file in place of a directory", [][]string{{"d/", "d/a=1"}, {"d=2"}}, "d=2"},
		{"a directory in place of a file", [][]string{{"d=1"}, {"d/", "d/a=2"}}, "d d/a=2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var layers []string
			for _, l := range c.layers {
				layers = append(layers, layer(t, l...))
			}
			dir := t.TempDir()
			if err := Flatten(layers, dir); err != nil {
				t.Fatal(err)
			}
			if got := tree(t, dir); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestFlattenKeepsMetadata(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("files have owners: this needs root")
	}
	from := t.TempDir()
	for _, err := range []error{
		os.WriteFile(from+"/su", nil, 0o600), os.Chown(from+"/su", 7, 8), unix.Chmod(from+"/su", 0o4751),
		os.Link(from+"/su", from+"/su2"), os.Symlink("/nowhere", from+"/link"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	if err := Flatten([]string{from}, dir); err != nil {
		t.Fatal(err)
	}
	var a, b unix.Stat_t
	if err := unix.Lstat(dir+"/su", &a); err != nil {
		t.Fatal(err)
	}
	if err := unix.Lstat(dir+"/su2", &b); err != nil {
		t.Fatal(err)
	}
	if a.Uid != 7 || a.Gid != 8 || a.Mode&0o7777 != 0o4751 || a.Ino != b.Ino {
		t.Errorf("got owner %d:%d, mode %o, inodes %d and %d; want 7:8, 4751, one inode", a.Uid, a.Gid, a.Mode&0o7777, a.Ino, b.Ino)
	}
	if target, err := os.Readlink(dir + "/link"); target != "/nowhere" {
		t.Errorf("got %s, %v, want the link as it was", target, err)
	}
}
