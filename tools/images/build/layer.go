package build

import (
	"archive/tar"
	"bytes"
	"cmp"
	"path"
	"slices"
	"strings"
	"time"
)

// A File is one entry of a layer: a file, a symlink when Link is set, another
// name of the file SameAs, or a directory when the path ends in a slash. The
// directories above it follow from its path.
type File struct {
	Path     string // absolute
	Mode     int64
	UID, GID int
	Content  []byte
	Link     string
	SameAs   string // absolute
}

// Every file has the date of the epoch: what differs from build to build would
// change the digest.
var epoch = time.Unix(0, 0)

// archive writes a tar in the order of the paths, hard links last: what they
// are to be the same as must be there.
func archive(files []File) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range withParents(files) {
		if err := w.WriteHeader(f.header()); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.Content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

func (f File) header() *tar.Header {
	h := &tar.Header{Name: strings.TrimPrefix(f.Path, "/"), Mode: f.Mode, Uid: f.UID, Gid: f.GID, ModTime: epoch, Format: tar.FormatPAX}
	switch {
	case f.Link != "":
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f.Link, 0o777
	case f.SameAs != "":
		h.Typeflag, h.Linkname = tar.TypeLink, strings.TrimPrefix(f.SameAs, "/")
	case strings.HasSuffix(f.Path, "/"):
		h.Typeflag = tar.TypeDir
	default:
		h.Typeflag, h.Size = tar.TypeReg, int64(len(f.Content))
	}
	return h
}

// withParents adds directories that are not listed, sorts, and lets a later
// file replace an earlier one of the same path.
func withParents(files []File) []File {
	byPath := map[string]File{}
	for _, f := range files {
		byPath[f.Path] = f
	}
	for _, f := range files {
		for dir := path.Dir(strings.TrimSuffix(f.Path, "/")); dir != "/"; dir = path.Dir(dir) {
			if _, listed := byPath[dir+"/"]; !listed {
				byPath[dir+"/"] = File{Path: dir + "/", Mode: 0o755}
			}
		}
	}
	all := make([]File, 0, len(byPath))
	for _, f := range byPath {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b File) int {
		return cmp.Or(strings.Compare(a.SameAs, b.SameAs), strings.Compare(a.Path, b.Path))
	})
	return all
}
