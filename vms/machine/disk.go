package machine

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// makeDisk writes a file system with the content of a folder, as a sparse file.
// It needs no root and no mount: mke2fs(8) copies.
func makeDisk(ctx context.Context, image, dir string) error {
	size, err := diskSize(dir)
	if err != nil {
		return err
	}
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return err
	}
	mke2fs, err := exec.LookPath("mke2fs")
	if err != nil {
		mke2fs = "/usr/sbin/mke2fs" // not on every user's PATH
	}
	cmd := exec.CommandContext(ctx, mke2fs, "-q", "-F", "-t", "ext4", "-O", "^has_journal",
		"-E", "lazy_itable_init=1,root_owner=0:0", "-d", dir, image)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, out)
	}
	return nil
}

// makeOverlay makes a disk that holds what differs from the image's, unless it is
// there.
func makeOverlay(ctx context.Context, disk, image string) error {
	if _, err := os.Stat(disk); err == nil {
		return nil
	}
	next := disk + ".new"
	cmd := exec.CommandContext(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "qcow2", next)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, out)
	}
	return os.Rename(next, disk)
}

// diskSize has room for the folder twice, and a gigabyte for what is made there.
// A sparse file costs what is written.
func diskSize(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		sum += (info.Size() + 4095) &^ 4095
		return nil
	})
	return 2*sum + 1<<30, err
}
