// Package generated writes the volumes whose content the kubelet makes:
// downwardAPI and projected, later configMap and secret.
//
// Such content changes while containers read it, so a reader must see all of
// the old files or all of the new ones. A rename is atomic for one name only;
// so all files live in a directory of their own, and one symbolic link decides
// which directory counts:
//
//	..2026_11_20_10_03_07.123456   the files of now
//	..data -> ..2026_11_20_10_03_07.123456
//	labels -> ..data/labels        what containers open
//
// An update writes a new directory, renames a new link over ..data, and removes
// the old directory. The volume is a tmpfs: secrets will not reach the disk.
//
// Upstream: pkg/volume/util/atomic_writer.go.
package generated

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
)

const (
	dataLink    = "..data"
	newDataLink = "..data_tmp"
	stampFormat = "..2006_01_02_15_04_05.000000000"
)

// A File is the content of one file.
type File struct {
	Data []byte
	Mode int32  // permission bits
	User *int64 // that owns it; nil for root
}

// Defaults are what holds for the files of a volume that do not say otherwise.
type Defaults struct {
	Mode int32
	User *int64
}

// File returns a file with its own mode and user, where it has them.
func (d Defaults) File(data []byte, mode *int32, user *int64) File {
	f := File{Data: data, Mode: d.Mode, User: d.User}
	if mode != nil {
		f.Mode = *mode
	}
	if user != nil {
		f.User = user
	}
	return f
}

// SetUp brings files, by relative path such as a/b or ./a, to the volume at dir,
// mounting it first if it is not. When the volume has them already nothing changes. Group, if not
// nil, can read them.
func SetUp(dir string, files map[string]File, group *int64) error {
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := CheckPath(path); err != nil {
			return err
		}
	}
	if err := volume.MountTmpfs(dir, 0, 0o777, group); err != nil {
		return err
	}
	return Write(dir, files, group)
}

// Write is SetUp without the mount.
func Write(dir string, files map[string]File, group *int64) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	w := writer{root: root, files: make(map[string]File, len(files)), group: group}
	for _, path := range slices.Sorted(maps.Keys(files)) { // the same one of ./a and a each time
		w.files[filepath.Clean(path)] = files[path]
	}
	if err := w.write(); err != nil {
		return fmt.Errorf("write %s: %w", dir, err)
	}
	return nil
}

// Written reports whether SetUp has succeeded at dir before: there are files that
// containers can read.
func Written(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, dataLink))
	return err == nil
}

// CheckPath returns why a file can't have that path in a volume.
func CheckPath(path string) error {
	switch {
	case path == "":
		return errors.New("invalid path: must not be empty")
	case filepath.IsAbs(path):
		return fmt.Errorf("invalid path: must be relative path: %s", path)
	case len(path) > 4096:
		return errors.New("invalid path: must be less than or equal to 4096 characters")
	case strings.HasPrefix(filepath.Clean(path), ".."):
		return fmt.Errorf("invalid path: must not start with '..': %s", path)
	case filepath.Clean(path) == "." || strings.ContainsRune(path, 0):
		return fmt.Errorf("invalid path: must name a file: %q", path)
	}
	for name := range strings.SplitSeq(path, "/") {
		if name == ".." {
			return fmt.Errorf("invalid path: must not contain '..': %s", path)
		}
		if len(name) > 255 {
			return errors.New("invalid path: filenames must be less than or equal to 255 characters")
		}
	}
	return nil
}

type writer struct {
	root  *os.Root
	files map[string]File
	group *int64
}

func (w writer) write() error {
	current, err := w.root.Readlink(dataLink)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || !w.same(current) {
		if current, err = w.replace(); err != nil {
			return err
		}
	}
	if err := w.showNames(); err != nil {
		return err
	}
	return w.clean(current)
}

// replace writes a new directory and makes it the one that counts.
func (w writer) replace() (name string, err error) {
	name = time.Now().UTC().Format(stampFormat)
	if err := w.root.Mkdir(name, 0o755); err != nil {
		return "", err
	}
	if err := w.own(name, nil, 0o755|os.ModeDir); err != nil {
		return "", err
	}
	for path, f := range w.files {
		if err := w.writeFile(name, path, f); err != nil {
			return "", err
		}
	}
	if err := w.root.Remove(newDataLink); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := w.root.Symlink(name, newDataLink); err != nil {
		return "", err
	}
	return name, w.root.Rename(newDataLink, dataLink)
}

func (w writer) writeFile(dir, path string, f File) error {
	for parent := filepath.Dir(path); parent != "."; parent = filepath.Dir(parent) {
		p := filepath.Join(dir, parent)
		if err := w.root.MkdirAll(p, 0o755); err != nil {
			return err
		}
		if err := w.own(p, nil, 0o755|os.ModeDir); err != nil {
			return err
		}
	}
	full := filepath.Join(dir, path)
	if err := w.root.WriteFile(full, f.Data, 0o600); err != nil {
		return err
	}
	return w.own(full, f.User, w.mode(f))
}

func (w writer) mode(f File) os.FileMode {
	m := volume.FileMode(f.Mode)
	if w.group != nil {
		m = volume.GroupMode(m, true)
	}
	return m
}

// own sets the owner before the mode: chown takes set-id bits away.
func (w writer) own(path string, user *int64, mode os.FileMode) error {
	if w.group != nil {
		mode = volume.GroupMode(mode, true)
	}
	if user != nil || w.group != nil {
		if err := w.root.Chown(path, idOr(user, -1), idOr(w.group, -1)); err != nil {
			return err
		}
	}
	return w.root.Chmod(path, mode&^os.ModeDir)
}

func idOr(id *int64, otherwise int) int {
	if id == nil {
		return otherwise
	}
	return int(*id)
}

// same says whether a directory holds exactly the files.
func (w writer) same(dir string) bool {
	found := 0
	err := fs.WalkDir(w.root.FS(), dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		found++
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f, ok := w.files[name]
		if !ok || !w.sameFile(path, f) {
			return errors.New("differs")
		}
		return nil
	})
	return err == nil && found == len(w.files)
}

func (w writer) sameFile(path string, f File) bool {
	info, err := w.root.Lstat(path)
	if err != nil || info.Mode() != w.mode(f) {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Gid) != idOr(w.group, os.Getegid()) || int(st.Uid) != idOr(f.User, os.Geteuid()) {
		return false
	}
	data, err := w.root.ReadFile(path)
	return err == nil && bytes.Equal(data, f.Data)
}

// showNames makes a link for each first element of a path, and removes those
// of files that are no more.
func (w writer) showNames() error {
	want := map[string]bool{}
	for path := range w.files {
		name, _, _ := strings.Cut(path, "/")
		want[name] = true
	}
	entries, err := fs.ReadDir(w.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); want[name] {
			delete(want, name)
		} else if !strings.HasPrefix(name, "..") {
			if err := w.root.RemoveAll(name); err != nil {
				return err
			}
		}
	}
	for name := range want {
		if err := w.root.Symlink(filepath.Join(dataLink, name), name); err != nil {
			return err
		}
	}
	return nil
}

// clean removes the directories that do not count, of before and of updates
// that were cut short.
func (w writer) clean(current string) error {
	entries, err := fs.ReadDir(w.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, "..") || name == dataLink || name == current {
			continue
		}
		if err := w.root.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}
