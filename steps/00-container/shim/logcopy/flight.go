package logcopy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/00-container/crilog"
)

// Programs like to write a line in pieces. A chunk that does not end with a
// newline is given this long, twice, for the rest of the line.
const lineWait = 5 * time.Millisecond

// chunk is the most that is in flight at once, the capacity of a pipe.
const chunk = 64 << 10

// move does steps 1 to 4 for one chunk and returns its size: 0 at the end. It
// returns EAGAIN when the pipe is empty.
func (c *Copier) move(stream string, fd int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, err := c.here(stream)
	if err != nil {
		return 0, err
	}
	if err := c.write(at); err != nil {
		return 0, err
	}
	total := 0
	for try := range 3 {
		n, err := c.lift(fd)
		if total += n; total == 0 {
			return 0, err
		}
		if err != nil || n == 0 || try == 2 || c.lineEnds(total) {
			break
		}
		time.Sleep(lineWait)
	}
	return total, c.land(stream)
}

// lift moves bytes into flight without waiting for any.
func (c *Copier) lift(fd int) (int, error) {
	for {
		n, err := unix.Splice(fd, nil, int(c.flight[1].Fd()), nil, chunk, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		if err == unix.EINTR {
			continue
		}
		if err == unix.EINVAL { // a terminal, before Linux 5.11
			return c.carry(fd)
		}
		return int(max(n, 0)), err
	}
}

// carry is lift by read and write.
func (c *Copier) carry(fd int) (int, error) {
	var buf [4096]byte
	n, err := unix.Read(fd, buf[:])
	if n <= 0 {
		return 0, err
	}
	return unix.Write(int(c.flight[1].Fd()), buf[:n])
}

// scratch is what all copiers of a process share to look at bytes in flight.
var scratch struct {
	sync.Mutex
	pipe [2]int
	data []byte
	line []byte // encoded
}

// look calls f with the n bytes that are in flight, which stay there.
func (c *Copier) look(n int, f func([]byte) error) error {
	scratch.Lock()
	defer scratch.Unlock()
	if scratch.data == nil {
		if err := unix.Pipe2(scratch.pipe[:], unix.O_CLOEXEC); err != nil {
			return os.NewSyscallError("pipe2", err)
		}
		scratch.data = make([]byte, 4096)
	}
	if len(scratch.data) < n {
		scratch.data = make([]byte, chunk+4096)
	}
	copied, err := unix.Tee(int(c.flight[0].Fd()), scratch.pipe[1], n, 0)
	if err != nil {
		return os.NewSyscallError("tee", err)
	}
	data := scratch.data[:copied]
	if err := readFull(scratch.pipe[0], data); err != nil {
		return err
	}
	return f(data)
}

func (c *Copier) lineEnds(n int) (yes bool) {
	c.look(n, func(data []byte) error {
		yes = len(data) >= crilog.MaxContent || data[len(data)-1] == '\n'
		return nil
	})
	return yes
}

// land does steps 3 and 4: what is in flight goes to the log and to the taps.
// Output that the disk has no room for is dropped, and the container goes on.
func (c *Copier) land(stream string) error {
	n, err := unix.IoctlGetInt(int(c.flight[0].Fd()), unix.TIOCINQ)
	if err != nil {
		return os.NewSyscallError("TIOCINQ", err)
	}
	return c.look(n, func(data []byte) error {
		if err := c.append(stream, data); err != nil {
			fmt.Fprintf(os.Stderr, "log %s: %d bytes dropped: %v\n", c.path, len(data), err)
		}
		for t := range c.taps {
			c.offer(t, stream, data)
		}
		return readFull(int(c.flight[0].Fd()), data)
	})
}

func (c *Copier) append(stream string, data []byte) error {
	if c.log == nil {
		return nil
	}
	scratch.line = crilog.Append(scratch.line[:0], time.Now(), stream, data)
	before, err := c.log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err = c.log.Write(scratch.line); err != nil {
		return errors.Join(err, c.log.Truncate(before)) // no torn entry
	}
	return nil
}

func (c *Copier) offer(t *Tap, stream string, data []byte) {
	to := t.Stdout
	if stream == crilog.Stderr {
		to = t.Stderr
	}
	if to == nil {
		return
	}
	to.SetWriteDeadline(time.Now().Add(tapPatience))
	if _, err := to.Write(data); err != nil {
		c.remove(t)
	}
}

func readFull(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Read(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return fmt.Errorf("read pipe: %w", errors.Join(err, io.ErrUnexpectedEOF))
		}
		data = data[n:]
	}
	return nil
}
