package image

import (
	"fmt"
	"io"
)

// A cpioWriter writes the archive that the kernel unpacks as its first root: the
// "new ASCII" format of cpio, Documentation/driver-api/early-userspace/buffer-format.rst.
type cpioWriter struct {
	w     io.Writer
	inode int
	err   error
}

const (
	modeDir  = 0o040000
	modeFile = 0o100000
)

// entry writes a file or a directory; parents come before children. The first
// error stays.
func (c *cpioWriter) entry(name string, mode int, data []byte) {
	c.inode++
	c.header(name, c.inode, mode, len(data))
	c.write(data)
	c.pad(len(data))
}

// close writes the trailer, and returns the first error of all.
func (c *cpioWriter) close() error {
	c.header("TRAILER!!!", 0, 0, 0)
	return c.err
}

// header writes thirteen numbers of eight digits, the name and its final zero.
func (c *cpioWriter) header(name string, inode, mode, size int) {
	const uid, gid, links, mtime, major, minor, rmajor, rminor, check = 0, 0, 1, 0, 0, 0, 0, 0, 0
	h := "070701"
	for _, field := range []int{inode, mode, uid, gid, links, mtime, size, major, minor, rmajor, rminor, len(name) + 1, check} {
		h += fmt.Sprintf("%08x", field)
	}
	h += name + "\x00"
	c.write([]byte(h))
	c.pad(len(h))
}

// pad fills up to a multiple of four.
func (c *cpioWriter) pad(n int) { c.write(make([]byte, -n&3)) }

func (c *cpioWriter) write(b []byte) {
	if c.err == nil {
		_, c.err = c.w.Write(b)
	}
}
