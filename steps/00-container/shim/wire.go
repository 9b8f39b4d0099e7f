package shim

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/steps/00-container/state"
)

// An Op is what a request asks for.
type Op string

// The operations. Each connection carries one request. A reply follows, and
// more where it says so.
const (
	OpReady      Op = "ready"       // reply when the pod's namespaces are there
	OpSettled    Op = "settled"     // reply when no start or exec is under way that was asked for before
	OpStart      Op = "start"       // run the container whose bundle is on disk
	OpExec       Op = "exec"        // run Process with the request's files; a second reply has its exit. Closing the connection kills it
	OpSignal     Op = "signal"      // send Signal to the container's first process
	OpWait       Op = "wait"        // reply when the container has ended
	OpWatch      Op = "watch"       // reply at once, and then for each container that ends
	OpAttach     Op = "attach"      // copy output to the request's two files; a second reply when there will be no more. Closing detaches
	OpStdin      Op = "stdin"       // reply with a file that writes to the container
	OpCloseStdin Op = "close-stdin" // let the container read end of file
	OpResize     Op = "resize"      // set the size of the container's terminal
	OpReopenLog  Op = "reopen-log"  // go on in a new file of the log's name
	OpShutdown   Op = "shutdown"    // end the pause process and the shim
)

// A Request goes from a manager to a shim.
type Request struct {
	Op        Op     `json:"op"`
	Container string `json:"container,omitempty"`
	Process   []byte `json:"process,omitempty"` // an OCI process, as JSON
	Signal    int    `json:"signal,omitempty"`
	Width     uint16 `json:"width,omitempty"`
	Height    uint16 `json:"height,omitempty"`
}

// A Reply goes back.
type Reply struct {
	Error     string      `json:"error,omitempty"`
	PID       int         `json:"pid,omitempty"`
	Container string      `json:"container,omitempty"`
	Exit      *state.Exit `json:"exit,omitempty"`
}

// A Conn carries messages and open files: a length in four bytes, to which the
// files are attached (unix(7), SCM_RIGHTS), and so many bytes of JSON.
type Conn struct{ *net.UnixConn }

const (
	maxMessage = 16 << 20
	maxFiles   = 4
)

// Send writes one message. The files remain the caller's.
func (c Conn) Send(msg any, files ...*os.File) error {
	body, err := json.Marshal(msg)
	if err != nil {
		return err
	}
	var fds []int
	for _, f := range files {
		fds = append(fds, number(f))
	}
	var rights []byte
	if fds != nil {
		rights = unix.UnixRights(fds...)
	}
	head := binary.NativeEndian.AppendUint32(nil, uint32(len(body)))
	if _, _, err := c.WriteMsgUnix(head, rights, nil); err != nil {
		return err
	}
	_, err = c.Write(body)
	return err
}

// number is the file's descriptor. The method Fd would make the file blocking,
// here and in every process that shares it.
func number(f *os.File) (n int) {
	n = -1
	if conn, err := f.SyscallConn(); err == nil {
		conn.Control(func(fd uintptr) { n = int(fd) })
	}
	return n
}

// Receive reads one message. The caller closes the files.
func (c Conn) Receive(msg any) (files []*os.File, err error) {
	head := make([]byte, 4)
	oob := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, oobn, _, _, err := c.ReadMsgUnix(head, oob)
	if err == nil && n < len(head) {
		_, err = io.ReadFull(c, head[n:])
	}
	if err != nil {
		return nil, err
	}
	if files, err = receivedFiles(oob[:oobn]); err != nil {
		return nil, err
	}
	size := binary.NativeEndian.Uint32(head)
	if size > maxMessage {
		closeAll(files)
		return nil, fmt.Errorf("message of %d bytes is too long", size)
	}
	body := make([]byte, size)
	if _, err = io.ReadFull(c, body); err == nil {
		err = json.Unmarshal(body, msg)
	}
	if err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

func receivedFiles(oob []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return files, err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// onSocket calls f with a short name for the socket at path. The address of a
// unix socket ends after 107 bytes, and a pod's directory may be deeper than that.
func onSocket(path string, f func(*net.UnixAddr) error) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	name := "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + filepath.Base(path)
	err = f(&net.UnixAddr{Name: name, Net: "unix"})
	if op := new(net.OpError); errors.As(err, &op) {
		return errors.New(strings.ReplaceAll(op.Err.Error(), name, path) + ": " + path)
	}
	return err
}
