package state

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// topDir is the attribute T of chattr(1): FS_TOPDIR_FL in linux/fs.h.
const topDir = 0x00020000

// MkdirSpread makes a directory, as [os.MkdirAll] does, whose subdirectories
// come and go independently of each other: pods, or a pod's containers.
//
// On ext2, 3 and 4 that is an attribute, by which each subdirectory gets a block
// group of its own choice instead of its parent's. It matters most where the
// file system has no journal, as in many small machines: there an inode that was
// freed in the last minutes is not used again but stepped over, one by one
// (recently_deleted in fs/ext4/ialloc.c), so that beside a few thousand files
// that other containers have left behind, each new file takes a millisecond.
func MkdirSpread(dir string, mode fs.FileMode) error {
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	// It is advice: a file system that knows no such attribute needs none.
	if flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS); err == nil && flags&topDir == 0 {
		_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|topDir)
	}
	return nil
}
