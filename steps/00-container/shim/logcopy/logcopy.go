// Package logcopy moves what a container writes from its pipes into its log,
// each byte once, even if the process that does it is killed in between.
//
// Reading a pipe and writing a file are two system calls. Whoever dies between
// them has taken bytes out of the pipe that nobody has written. So bytes are
// not read but moved, by splice(2), into a second pipe that holds what is in
// flight. Both pipes hang on the pod's rack (package pause) and outlive us:
//
//  1. With nothing in flight, note the log's length in the journal.
//  2. Splice from the container's pipe into the in-flight pipe.
//  3. Look at what is in flight (tee), and append it to the log.
//  4. Empty the in-flight pipe.
//
// A successor that finds something in flight cannot know whether step 3 has
// happened, and need not: it cuts the log back to the noted length and does
// steps 3 and 4 again.
package logcopy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/00-container/crilog"
)

// A Copier writes the log of one container.
type Copier struct {
	path    string
	journal *os.File
	flight  [2]*os.File // read end, write end

	mu   sync.Mutex // guards the fields below, and makes steps 1 to 4 one
	log  *os.File   // nil if the container has no log
	taps map[*Tap]struct{}
}

// A Tap is somebody who reads along. Each chunk of output goes to the file of
// its stream; a tap that takes none for ten seconds is removed.
type Tap struct {
	Stdout, Stderr *os.File // nil if not wanted
	Gone           func()   // called once when the tap has been removed
}

// tapPatience is how long a container waits for somebody who is attached to it.
const tapPatience = 10 * time.Second

// New returns a copier that appends to the log at path; an empty path means no
// log. Flight is the in-flight pipe, perhaps with something in it; the copier
// owns it.
func New(path, journal string, flight [2]*os.File) (*Copier, error) {
	j, err := os.OpenFile(journal, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	c := &Copier{path: path, journal: j, flight: flight, taps: map[*Tap]struct{}{}}
	if err := c.Reopen(); err != nil {
		j.Close()
		return nil, err
	}
	return c, c.recover()
}

// Reopen goes on in the file that has the log's name now.
func (c *Copier) Reopen() error {
	if c.path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(c.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.log != nil {
		c.log.Close()
	}
	c.log = log
	return nil
}

// Copy moves everything from a pipe, or from the master of a terminal, until
// its end: when no process has the other side open any more. It takes over the
// file.
func (c *Copier) Copy(ctx context.Context, stream string, from *os.File) error {
	defer from.Close()
	stop := context.AfterFunc(ctx, func() { from.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := from.SyscallConn()
	if err != nil {
		return err
	}
	for {
		var moved int
		var failed error
		err := conn.Read(func(fd uintptr) bool {
			moved, failed = c.move(stream, int(fd))
			return !errors.Is(failed, unix.EAGAIN) // false: wait until it is readable
		})
		if err = errors.Join(err, failed); err != nil && !errors.Is(err, unix.EIO) {
			return fmt.Errorf("copy %s: %w", stream, err)
		}
		if moved == 0 { // EIO: a terminal's last process has gone
			return nil
		}
	}
}

// Attach adds a tap. What it gets is what was written from now on.
func (c *Copier) Attach(t *Tap) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taps[t] = struct{}{}
}

// Detach removes a tap, if it is still there.
func (c *Copier) Detach(t *Tap) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(t)
}

func (c *Copier) remove(t *Tap) {
	if _, ok := c.taps[t]; ok {
		delete(c.taps, t)
		t.Gone()
	}
}

// Close ends all taps. Nothing may be copied at the time.
func (c *Copier) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for t := range c.taps {
		c.remove(t)
	}
	var err error
	if c.log != nil {
		err = c.log.Close()
	}
	return errors.Join(err, c.journal.Close(), c.flight[0].Close(), c.flight[1].Close())
}

// A note in the journal: which log was how long, and whose output is in flight.
type note struct {
	Inode  uint64
	Length int64
	Stderr uint64
}

func (c *Copier) write(n note) error {
	buf, err := binary.Append(nil, binary.NativeEndian, n)
	if err != nil {
		return err
	}
	_, err = c.journal.WriteAt(buf, 0)
	return err
}

func (c *Copier) here(stream string) (note, error) {
	n := note{}
	if stream == crilog.Stderr {
		n.Stderr = 1
	}
	if c.log == nil {
		return n, nil
	}
	var st unix.Stat_t
	err := unix.Fstat(int(c.log.Fd()), &st)
	n.Inode, n.Length = st.Ino, st.Size
	return n, err
}

// recover finishes what a predecessor had in flight.
func (c *Copier) recover() error {
	waiting, err := unix.IoctlGetInt(int(c.flight[0].Fd()), unix.TIOCINQ)
	if err != nil || waiting == 0 {
		return err
	}
	var n note
	if err := binary.Read(io.NewSectionReader(c.journal, 0, 24), binary.NativeEndian, &n); err != nil {
		return fmt.Errorf("read log journal: %w", err)
	}
	stream := crilog.Stdout
	if n.Stderr == 1 {
		stream = crilog.Stderr
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// A log that was renamed since is left alone; some of its last lines may
	// then be in the next one again.
	if now, err := c.here(stream); err == nil && c.log != nil && now.Inode == n.Inode && now.Length > n.Length {
		if err := c.log.Truncate(n.Length); err != nil {
			return err
		}
	}
	return c.land(stream)
}
