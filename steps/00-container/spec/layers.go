package spec

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// InLayers reads files from an image that is not mounted: its layers as
// directories, the base layer first. The topmost layer that has the file
// decides. Reading stays inside the layer (os.Root), whatever links it holds.
func InLayers(layers []string) Files {
	return func(path string) ([]byte, error) {
		name := strings.TrimPrefix(filepath.Clean(path), "/")
		for i := len(layers) - 1; i >= 0; i-- {
			data, err := readInLayer(layers[i], name)
			if !errors.Is(err, fs.ErrNotExist) {
				return data, err
			}
			if errors.Is(err, errWhiteout) {
				break
			}
		}
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
}

// errWhiteout: this layer says that the file of a lower one is deleted.
var errWhiteout = fmt.Errorf("whiteout: %w", fs.ErrNotExist)

// maxAccounts is more than any account file needs.
const maxAccounts = 16 << 20

func readInLayer(layer, name string) ([]byte, error) {
	root, err := os.OpenRoot(layer)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && info.Mode()&fs.ModeCharDevice != 0 && st.Rdev == 0 {
		return nil, errWhiteout
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s in the image is not a regular file", name)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxAccounts))
}
