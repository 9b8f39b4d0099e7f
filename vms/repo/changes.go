package repo

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A Snapshot is what the files of the repository were at some time, those in bin/
// among them. A build renews the time of a program that it finds up to date: what
// counts is content.
type Snapshot map[string]File

// A File of a snapshot.
type File struct {
	Size int64
	Time time.Time
	Sum  string // SHA-256 of the content
}

// Snapshot looks at the files. The sums of those that have the size and time that
// they had before are not computed anew.
func (r Repo) Snapshot(before Snapshot) (Snapshot, error) {
	now := Snapshot{}
	return now, filepath.WalkDir(r.Dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went while we looked
		} else if err != nil {
			return err
		}
		rel, err := filepath.Rel(r.Dir, path)
		if err != nil {
			return err
		}
		if e.IsDir() && leaveOut(rel, true) {
			return fs.SkipDir
		}
		if !e.Type().IsRegular() {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		f := before[rel]
		if f.Size != info.Size() || !f.Time.Equal(info.ModTime()) {
			f = File{Size: info.Size(), Time: info.ModTime()}
			if f.Sum, err = sum(path); err != nil {
				return err
			}
		}
		now[rel] = f
		return nil
	})
}

func sum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Since names the files that are new, or other ones than before. What was removed
// is not among them.
func (s Snapshot) Since(before Snapshot) []string {
	var names []string
	for name, f := range s {
		if f.Sum != before[name].Sum {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Tar writes an archive of files of the repository.
func (r Repo) Tar(w io.Writer, names []string) error {
	t := tar.NewWriter(w)
	for _, name := range names {
		if err := r.addFile(t, name); err != nil {
			return err
		}
	}
	return t.Close()
}

func (r Repo) addFile(t *tar.Writer, name string) error {
	path := filepath.Join(r.Dir, name)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	h := &tar.Header{Name: name, Size: int64(len(data)), Mode: int64(info.Mode().Perm()), ModTime: info.ModTime()}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err = t.Write(data)
	return err
}
