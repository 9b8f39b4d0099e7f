// Package hostpath is the volume that is a path of the node.
//
// The path belongs to whoever made it: it is checked, in two cases created, and
// never removed. A pod that may mount hostPaths may read and write the whole
// node, which is why clusters forbid it to ordinary users and give it to
// their own components.
//
// Upstream: pkg/volume/hostpath.
package hostpath

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/volume"
)

// A Plugin hands out paths of the node.
type Plugin struct{}

var _ volume.Plugin = Plugin{}

// Name implements volume.Plugin.
func (Plugin) Name() string { return "kubernetes.io~host-path" }

// Supports implements volume.Plugin.
func (Plugin) Supports(v *corev1.Volume) bool { return v.HostPath != nil }

// TearDown implements volume.Plugin. It leaves the path alone.
func (Plugin) TearDown(_ context.Context, dir string) error { return volume.Remove(dir) }

// SetUp implements volume.Plugin.
func (Plugin) SetUp(_ context.Context, _ *corev1.Pod, v *corev1.Volume, _ string) (string, error) {
	path := v.HostPath.Path
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("invalid HostPath `%s`: must be an absolute path", path)
	}
	if slices.Contains(strings.Split(path, "/"), "..") {
		return "", fmt.Errorf("invalid HostPath `%s`: must not contain '..'", path)
	}
	want := corev1.HostPathUnset
	if v.HostPath.Type != nil {
		want = *v.HostPath.Type
	}
	return path, check(path, want)
}

// kinds are the types that can be checked for, and how upstream's messages say
// them.
var kinds = map[corev1.HostPathType]string{
	corev1.HostPathDirectory: "directory",
	corev1.HostPathFile:      "file",
	corev1.HostPathSocket:    "socket file",
	corev1.HostPathCharDev:   "character device",
	corev1.HostPathBlockDev:  "block device",
}

func check(path string, want corev1.HostPathType) error {
	switch want {
	case corev1.HostPathUnset:
		return nil
	case corev1.HostPathDirectoryOrCreate:
		want = corev1.HostPathDirectory
		if err := create(path, func() error { return os.MkdirAll(path, 0o755) }); err != nil {
			return err
		}
	case corev1.HostPathFileOrCreate:
		want = corev1.HostPathFile
		if err := create(path, func() error { return makeFile(path) }); err != nil {
			return err
		}
	}
	kind, ok := kinds[want]
	if !ok {
		return fmt.Errorf("%s is an invalid volume type", want)
	}
	got, err := typeOf(path)
	if err != nil {
		return fmt.Errorf("hostPath type check failed, %s is not a %s, unable to determine its type: %w", path, kind, err)
	}
	if got != want {
		return fmt.Errorf("hostPath type check failed: %s is not a %s, it's a %s", path, kind, got)
	}
	return nil
}

func create(path string, makeIt func() error) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // the check that follows says more
	}
	return makeIt()
}

// makeFile makes an empty file, but not the directory that it is in.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// typeOf follows symbolic links, as the mount will.
func typeOf(path string) (corev1.HostPathType, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("path %q does not exist", path)
	}
	if err != nil {
		return "", err
	}
	switch m := info.Mode(); {
	case m.IsDir():
		return corev1.HostPathDirectory, nil
	case m.IsRegular():
		return corev1.HostPathFile, nil
	case m&os.ModeSocket != 0:
		return corev1.HostPathSocket, nil
	case m&os.ModeCharDevice != 0:
		return corev1.HostPathCharDev, nil
	case m&os.ModeDevice != 0:
		return corev1.HostPathBlockDev, nil
	default:
		return "", fmt.Errorf("only recognise file, directory, socket, block device and character device, not %s", m.Type())
	}
}
