package pause

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// SlotsPerContainer is how many slots a container has on the rack.
const SlotsPerContainer = 8

// Where the slots begin in the pause process's table of file descriptors.
const (
	senderFD  = 4
	firstSlot = 16
)

// A Rack keeps file descriptors in the pause process. Hanging one up is a
// datagram with SCM_RIGHTS. Taking one down, after the process that hung it up
// has died, is pidfd_getfd(2), which needs no cooperation; it duplicates, so
// the slot stays taken.
type Rack struct {
	pid    int
	sender *os.File
}

// OpenRack finds the rack of a running pause process again.
func OpenRack(pid int) (*Rack, error) {
	sender, err := take(pid, senderFD)
	if err != nil {
		return nil, fmt.Errorf("rack of process %d: %w", pid, err)
	}
	return &Rack{pid, sender}, nil
}

// Hang keeps files in the slots of the container with this index. Nil files
// leave their slots alone. When Hang has returned, the files survive us: they
// are in the socket's queue, if not on the rack yet.
func (r *Rack) Hang(index int, files ...*os.File) error {
	for i, f := range files {
		if f == nil {
			continue
		}
		if err := r.hang(slot(index)+i, f); err != nil {
			return fmt.Errorf("keep a file in the pause process: %w", err)
		}
	}
	return nil
}

func (r *Rack) hang(slot int, f *os.File) error {
	conn, err := f.SyscallConn() // Fd would make the file blocking
	if err != nil {
		return err
	}
	err2 := conn.Control(func(fd uintptr) { err = r.send(slot, 1, unix.UnixRights(int(fd))) })
	return errors.Join(err, err2)
}

// Drop empties one slot.
func (r *Rack) Drop(index, i int) error { return r.send(slot(index)+i, 1, nil) }

// Clear empties all slots of a container.
func (r *Rack) Clear(index int) error {
	return r.send(slot(index), SlotsPerContainer, nil)
}

func (r *Rack) send(first, n int, rights []byte) error {
	msg := binary.NativeEndian.AppendUint32(nil, uint32(first))
	msg = binary.NativeEndian.AppendUint32(msg, uint32(n))
	return unix.Sendmsg(int(r.sender.Fd()), msg, rights, nil, 0)
}

// Take returns a duplicate of what is in a slot. A slot that is empty may have
// been filled a moment ago by one who died: it is looked at again for a while.
func (r *Rack) Take(index, i int) (*os.File, error) {
	for deadline := time.Now().Add(time.Second / 2); ; time.Sleep(time.Millisecond) {
		f, err := take(r.pid, slot(index)+i)
		if err == nil || !errors.Is(err, unix.EBADF) || time.Now().After(deadline) {
			return f, err
		}
	}
}

// Close forgets the rack; what hangs there stays.
func (r *Rack) Close() error { return r.sender.Close() }

func slot(index int) int { return firstSlot + index*SlotsPerContainer }

func take(pid, fd int) (*os.File, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(pidfd)
	got, err := unix.PidfdGetfd(pidfd, fd, 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_getfd", err)
	}
	return os.NewFile(uintptr(got), "rack"), nil
}
