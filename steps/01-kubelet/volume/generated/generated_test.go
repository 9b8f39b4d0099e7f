package generated

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// show lists what a container would see: NAME MODE CONTENT, without the
// names that begin with two dots.
func show(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "..") {
			continue
		}
		real, err := filepath.EvalSymlinks(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		err = filepath.WalkDir(real, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(real, path)
			out = append(out, fmt.Sprintf("%s %o %s", filepath.Join(e.Name(), rel), info.Mode().Perm(), data))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func write(t *testing.T, dir string, files map[string]File) {
	t.Helper()
	if err := Write(dir, files, nil); err != nil {
		t.Fatal(err)
	}
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestWriteAndUpdate(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]File{"labels": {Data: []byte("a"), Mode: 0o644}, "deep/er/x": {Data: []byte("b"), Mode: 0o400}, "deep/y": {Data: []byte("c"), Mode: 0o600}})
	equal(t, show(t, dir), "deep/er/x 400 b", "deep/y 600 c", "labels 644 a")

	data := filepath.Join(dir, dataLink)
	first, err := os.Readlink(data)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]File{"labels": {Data: []byte("a"), Mode: 0o644}, "deep/er/x": {Data: []byte("b"), Mode: 0o400}, "deep/y": {Data: []byte("c"), Mode: 0o600}})
	if again, _ := os.Readlink(data); again != first {
		t.Error("the same content was written again")
	}
	write(t, dir, map[string]File{"labels": {Data: []byte("A"), Mode: 0o644}, "new": {Mode: 0o644}})
	equal(t, show(t, dir), "labels 644 A", "new 644 ")
	if _, err := os.Stat(filepath.Join(dir, first)); !os.IsNotExist(err) {
		t.Errorf("the directory of before: got %v, want it gone", err)
	}
	write(t, dir, map[string]File{"labels": {Data: []byte("A"), Mode: 0o600}, "new": {Mode: 0o644}})
	equal(t, show(t, dir), "labels 600 A", "new 644 ")
	write(t, dir, nil)
	equal(t, show(t, dir))
}

func TestWriteRepairsAnUpdateThatWasCutShort(t *testing.T) {
	files := map[string]File{"a": {Data: []byte("1"), Mode: 0o644}, "b": {Data: []byte("2"), Mode: 0o644}}
	for _, tt := range []struct {
		name string
		harm func(dir string) error
	}{
		{"before the rename", func(dir string) error { return os.Symlink("..gone", filepath.Join(dir, newDataLink)) }},
		{"a directory that does not count", func(dir string) error { return os.Mkdir(filepath.Join(dir, "..2020"), 0o755) }},
		{"a name not yet shown", func(dir string) error { return os.Remove(filepath.Join(dir, "b")) }},
		{"a name still shown", func(dir string) error { return os.Symlink("..data/c", filepath.Join(dir, "c")) }},
		{"a directory half written", func(dir string) error { return os.Remove(filepath.Join(dir, dataLink, "a")) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, files)
			if err := tt.harm(dir); err != nil {
				t.Fatal(err)
			}
			write(t, dir, files)
			equal(t, show(t, dir), "a 644 1", "b 644 2")
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			if len(entries) != 4 { // a, b, ..data and what it leads to
				t.Errorf("got %v", entries)
			}
		})
	}
}

func TestAReaderSeesAllOrNothingOfAnUpdate(t *testing.T) {
	dir := t.TempDir()
	content := func(i int) map[string]File {
		v := File{Data: []byte(fmt.Sprint(i)), Mode: 0o644}
		return map[string]File{"a": v, "b": v}
	}
	write(t, dir, content(0))
	done := make(chan error)
	go func() {
		for i := range 200 {
			if err := Write(dir, content(i), nil); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		// One look at ..data, as a careful reader takes it.
		now, err := os.OpenRoot(filepath.Join(dir, dataLink))
		if errors.Is(err, fs.ErrNotExist) {
			if _, err := os.Lstat(filepath.Join(dir, dataLink)); err != nil {
				t.Fatalf("there must always be a %s: %v", dataLink, err)
			}
			continue // we had followed the link of before, and its directory went
		}
		if err != nil {
			t.Fatal(err)
		}
		a, errA := now.ReadFile("a")
		b, errB := now.ReadFile("b")
		now.Close()
		if errA == nil && errB == nil && string(a) != string(b) {
			t.Fatalf("got a=%s and b=%s", a, b)
		}
	}
}

func TestTheGroupCanRead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to change owners")
	}
	dir, group := t.TempDir(), int64(4000)
	if err := Write(dir, map[string]File{"d/secret": {Data: []byte("x"), Mode: 0o400}}, &group); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"d": "dgrwxr-xr-x 4000", "d/secret": "-r--r----- 4000"} {
		info, err := os.Stat(filepath.Join(dir, dataLink, path))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(info.Mode(), " ", info.Sys().(*syscall.Stat_t).Gid); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

func TestTheUserOwnsTheFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to change owners")
	}
	dir, user, other := t.TempDir(), int64(1000), int64(1001)
	defaults := Defaults{Mode: 0o400, User: &user}
	write(t, dir, map[string]File{"a": defaults.File(nil, nil, nil), "b": defaults.File(nil, nil, &other), "c": {Mode: 0o400}})
	for name, want := range map[string]uint32{"a": 1000, "b": 1001, "c": 0} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Sys().(*syscall.Stat_t).Uid; got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
	write(t, dir, map[string]File{"a": {Mode: 0o400}})
	if info, err := os.Stat(filepath.Join(dir, "a")); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("after a change of owner: got %v, %v", info, err)
	}
}

func TestCheckPath(t *testing.T) {
	for path, ok := range map[string]bool{
		"a": true, "a/b": true, ".a": true, "a..b": true, "a/..b": true,
		"": false, "/a": false, "..": false, "../a": false, "a/../b": false, "..data": false, "a/..": false,
		"a//b": true, "./a": true, "a/": true, ".": false, "./": false, "./..data": false, "a\x00b": false,
		strings.Repeat("x", 256): false, strings.Repeat("x/", 2048) + "xx": false,
	} {
		if err := CheckPath(path); (err == nil) != ok {
			t.Errorf("%.20q: got %v", path, err)
		}
	}
}

// The API lets people write a path in more ways than one.
func TestPathsAreMadeClean(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if err := Write(dir, map[string]File{"./a": {Data: []byte("1"), Mode: 0o644}, "b//c/": {Data: []byte("2"), Mode: 0o644}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{"a": "1", "b/c": "2"} {
		if got, err := os.ReadFile(filepath.Join(dir, path)); string(got) != want {
			t.Errorf("%s: got %q, error %v", path, got, err)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"a", "./a", "./..data", "a//b/", "../a", "a/../../b", "..data", "/etc/x", "a\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if CheckPath(path) != nil {
			return
		}
		parent := t.TempDir()
		dir := filepath.Join(parent, "volume")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := Write(dir, map[string]File{path: {Data: []byte("x"), Mode: 0o644}}, nil); err != nil {
			t.Fatalf("%q passed the check: %v", path, err)
		}
		if data, err := os.ReadFile(filepath.Join(dir, path)); err != nil || string(data) != "x" {
			t.Errorf("%q: got %q, %v", path, data, err)
		}
		if entries, _ := os.ReadDir(parent); len(entries) != 1 {
			t.Errorf("%q was written outside of the volume: %v", path, entries)
		}
	})
}
