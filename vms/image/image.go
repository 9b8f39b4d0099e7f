// Package image makes what a virtual machine boots from: a Debian kernel, a root
// file system of Debian packages, and an initial RAM disk of our own.
//
// An image is a folder. It is named by the hash of all that goes into it, so it
// is made again when its recipe changes and only then; the folder appears whole
// or not at all, and whoever comes second waits for the first.
package image

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Suite is the Debian release that machines run: kernel 6.1, cgroup v2.
const Suite = "bookworm"

//go:embed recipe.sh
var recipe string

// An Image is what a machine boots. Nobody writes to it.
type Image struct {
	Dir    string
	Kernel string // a bzImage
	Initrd string
	Root   string // an ext4 file system in qcow2 format, without a partition table
}

// A Builder makes images.
type Builder struct {
	Cache string    // where images are kept
	Init  string    // the program that becomes /init: static, see cmd/init
	Log   io.Writer // what the recipe says
}

// Build returns the image, which it makes if there is none.
func (b Builder) Build(ctx context.Context) (Image, error) {
	program, err := os.ReadFile(b.Init)
	if err != nil {
		return Image{}, err
	}
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return Image{}, err
	}
	unlock, err := lock(ctx, filepath.Join(b.Cache, "lock"))
	if err != nil {
		return Image{}, fmt.Errorf("lock %s: %w", b.Cache, err)
	}
	defer unlock()

	base := filepath.Join(b.Cache, "base-"+key(Suite, recipe))
	if err := once(base, func(tmp string) error { return b.cook(ctx, tmp) }); err != nil {
		return Image{}, fmt.Errorf("make the root file system: %w", err)
	}
	initrd := filepath.Join(base, "initrd-"+key(string(program)))
	if err := once(initrd, func(tmp string) error { return writeInitrd(tmp, program, filepath.Join(base, "modules")) }); err != nil {
		return Image{}, fmt.Errorf("make the initial RAM disk: %w", err)
	}
	return Image{
		Dir:    base,
		Kernel: filepath.Join(base, "vmlinuz"),
		Initrd: initrd,
		Root:   filepath.Join(base, "base.qcow2"),
	}, b.prune(base, initrd)
}

// prune removes the images and RAM disks that older recipes and inits have left.
func (b Builder) prune(keep ...string) error {
	bases, _ := filepath.Glob(filepath.Join(b.Cache, "base-*"))
	initrds, _ := filepath.Glob(filepath.Join(b.Cache, "base-*", "initrd-*"))
	var errs []error
	for _, path := range append(initrds, bases...) {
		if path != keep[0] && path != keep[1] {
			errs = append(errs, os.RemoveAll(path))
		}
	}
	return errors.Join(errs...)
}

// cook runs the recipe. It is killed with all its children when ctx is done.
func (b Builder) cook(ctx context.Context, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "sh", "-s", Suite, dir)
	cmd.Stdin = strings.NewReader(recipe)
	cmd.Stdout, cmd.Stderr = b.Log, b.Log
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	// mmdebstrap unmounts what it has mounted when it is asked to end.
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGTERM) }
	if err := cmd.Run(); ctx.Err() != nil {
		return ctx.Err()
	} else if err != nil {
		return fmt.Errorf("recipe.sh: %w (vms/deps.sh installs what it needs)", err)
	}
	return nil
}

// once lets make write path, under another name until it is complete.
func once(path string, make func(tmp string) error) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	tmp := filepath.Join(filepath.Dir(path), ".new-"+filepath.Base(path))
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := make(tmp); err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	return os.Rename(tmp, path)
}

func key(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:6])
}

// lock holds a file's lock until unlock is called or the process ends. Who has it may be
// at it for minutes: the wait ends with ctx.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		}
	}
}
