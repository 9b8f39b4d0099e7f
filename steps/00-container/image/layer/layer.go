// Package layer unpacks one image layer into a directory that overlayfs can
// mount as a lower layer.
//
// A layer is a tar archive, often compressed, of what changed since the layer
// below. Deleted files appear in it as empty "whiteout" files, which become
// overlayfs's own: a character device 0:0 for one file, and the xattr
// trusted.overlay.opaque for a directory whose lower content is hidden.
//
// The archive comes from a stranger and is unpacked by root. Every entry is
// therefore reached through a directory that was opened inside an [os.Root],
// and created in it by a name of one component, without following links. The
// digests are computed while the bytes stream by, so the caller must not use
// the directory before Unpack has returned nil.
//
// A layer is unpacked by itself, knowing nothing of the layers below: one
// directory serves all images that have the layer, whatever they have below it.
// So links are followed within the layer only. An entry lib/a, where a layer below
// has lib as a symlink to usr/lib, makes a directory lib that hides the link; and
// a hard link to a file of a layer below is refused. Docker's overlay driver and
// containerd's (core/diff/apply) do the same. Builders write the difference of two
// trees, in which the file is usr/lib/a. A directory that the archive leaves out
// is root's with mode 0755; containerd copies what the layer below says of it, and
// so keeps one directory for each stack of layers instead of for each layer.
//
// Follows the OCI image specification 1.1, layer.md, and the kernel's
// Documentation/filesystems/overlayfs.rst.
package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Errors that say why a layer is refused.
var (
	ErrUnsafePath = errors.New("path leaves the layer")
	ErrDevice     = errors.New("device nodes are refused")
	ErrTooLarge   = errors.New("layer exceeds a limit")
	ErrCorrupt    = errors.New("digest differs")
)

// Limits bound what one layer may ask of the machine.
type Limits struct {
	Bytes   int64 // uncompressed size of the archive
	Entries int   // files, directories, links
	Path    int   // bytes in a name
	Ratio   int64 // uncompressed to compressed, beyond the first 64 MiB
}

// DefaultLimits let the largest images in common use pass.
var DefaultLimits = Limits{Bytes: 64 << 30, Entries: 2_000_000, Path: 4096, Ratio: 500}

// Digests name a layer: Blob as it is stored, Diff uncompressed.
type Digests struct {
	Blob, Diff v1.Hash
}

// Usage is what an unpacked layer takes on disk.
type Usage struct {
	Bytes  int64 `json:"bytes"`  // content of regular files
	Inodes int64 `json:"inodes"` // files, directories, links and whiteouts
}

// Unpack writes the layer in blob to dir, which must be an empty directory.
// After an error the directory holds a part of the layer and is to be removed.
func Unpack(ctx context.Context, blob io.Reader, want Digests, dir string, limits Limits) (Usage, error) {
	s, err := newStream(ctx, blob, limits)
	if err != nil {
		return Usage{}, err
	}
	defer s.close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Usage{}, err
	}
	defer root.Close()
	w := &writer{root: root, limits: limits}
	defer w.close()
	if err := w.unpack(tar.NewReader(s)); err != nil {
		return Usage{}, err
	}
	// The diff ID covers the padding behind the archive's end, too.
	if _, err := io.Copy(io.Discard, s); err != nil {
		return Usage{}, err
	}
	return w.usage, s.verify(want)
}

// unpack writes entry by entry, and the directories' times at the end, because
// each file that is created in a directory changes them.
func (w *writer) unpack(archive *tar.Reader) error {
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return w.finishDirectories()
		}
		if err != nil {
			return fmt.Errorf("read layer: %w", err)
		}
		if err := w.write(header, archive); err != nil {
			return fmt.Errorf("layer entry %.200q: %w", header.Name, err)
		}
	}
}
