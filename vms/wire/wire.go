// Package wire is what a virtual machine and its host say to each other, over a
// virtio serial port: a byte stream that needs no network and no address.
//
// A message is a line of JSON. That is slower than a binary format and survives
// what others don't: when the machine is set back to a snapshot in the middle of
// a line, the next newline is a fresh start.
package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// Port is the name of the serial port inside the machine:
// /dev/virtio-ports/Port.
const Port = "groundup"

// A Message has one of its fields set.
type Message struct {
	// From the host.
	Setup  *Setup  `json:"setup,omitempty"`
	Start  *Start  `json:"start,omitempty"`
	Signal *Signal `json:"signal,omitempty"`
	Built  *Built  `json:"built,omitempty"`

	// From the machine.
	Ready *Ready `json:"ready,omitempty"`
	Exit  *Exit  `json:"exit,omitempty"`
	Build *Build `json:"build,omitempty"`

	// From both.
	Data *Data `json:"data,omitempty"`
}

// Setup is the host's first word, and its first after a restore. The machine
// answers with Ready when all is done.
type Setup struct {
	Nonce    int       `json:"nonce"`
	Time     time.Time `json:"time"`               // what the clock is set to
	Hostname string    `json:"hostname,omitempty"` // kept when empty
	Address  string    `json:"address,omitempty"`  // a prefix for eth0: "10.99.0.1/24"
	Mount    string    `json:"mount,omitempty"`    // where the second disk goes
	Path     string    `json:"path,omitempty"`     // put before PATH
}

// Ready says that the machine takes commands.
type Ready struct {
	Nonce  int           `json:"nonce"`
	Kernel string        `json:"kernel"`
	Pace   time.Duration `json:"pace"` // package pace
	Error  string        `json:"error,omitempty"`
}

// Start runs a command. Its output comes as Data, its end as Exit.
type Start struct {
	Run  int      `json:"run"` // chosen by the host, not in use
	Args []string `json:"args"`
	Env  []string `json:"env,omitempty"`
	Dir  string   `json:"dir,omitempty"`
	TTY  *Size    `json:"tty,omitempty"` // run it on a terminal of this size
}

// Size is a terminal's.
type Size struct {
	Rows, Cols uint16
}

// A Stream of a command.
type Stream int

const (
	Stdin Stream = iota
	Stdout
	Stderr
)

// Data is a piece of a stream of a run. An empty one ends stdin.
type Data struct {
	Run    int    `json:"run"`
	Stream Stream `json:"stream"`
	Bytes  []byte `json:"bytes,omitempty"`
}

// Signal is sent to the process group of a run.
type Signal struct {
	Run    int `json:"run"`
	Number int `json:"number"`
}

// Exit is the last message of a run.
type Exit struct {
	Run   int    `json:"run"`
	Code  int    `json:"code"`            // 128+n when signal n killed it, as a shell says it
	Error string `json:"error,omitempty"` // why it was not even started
}

// Build asks the host to run the go command, which the machine doesn't have. The
// answer is a Built of the same number, after its files.
type Build struct {
	Number int      `json:"number"`
	Args   []string `json:"args"` // after "go"
	Env    []string `json:"env,omitempty"`
	Dir    string   `json:"dir"`
}

// Built is a piece of the answer to a Build. Pieces of a file come in order.
type Built struct {
	Number int    `json:"number"`
	File   string `json:"file,omitempty"` // its base name
	Bytes  []byte `json:"bytes,omitempty"`

	// The last piece has these and no file.
	Done   bool   `json:"done,omitempty"`
	Code   int    `json:"code,omitempty"`
	Stdout string `json:"stdout,omitempty"`
	Stderr string `json:"stderr,omitempty"`
}

// A Conn sends and receives messages. Send may be called by several goroutines
// at once, Receive by one.
type Conn struct {
	mu sync.Mutex // held while a message is written
	w  io.Writer
	r  *bufio.Reader
}

// NewConn returns a Conn over a stream, which stays the caller's to close.
func NewConn(rw io.ReadWriter) *Conn {
	return &Conn{w: rw, r: bufio.NewReaderSize(rw, 64<<10)}
}

// Send writes one message.
func (c *Conn) Send(m Message) error {
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// The newline before it ends what a snapshot may have cut off.
	_, err = c.w.Write(bytes.Join([][]byte{nil, line, nil}, []byte("\n")))
	return err
}

// A BadLine is the error of a line that is no message. The next one may be.
type BadLine struct {
	Line string
	Err  error
}

func (e *BadLine) Error() string { return fmt.Sprintf("no message: %.80q: %v", e.Line, e.Err) }

// Receive returns the next message; any error but a [*BadLine] is for good.
func (c *Conn) Receive() (Message, error) {
	var m Message
	for {
		line, err := c.r.ReadBytes('\n')
		if err != nil {
			return m, err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if err := json.Unmarshal(line, &m); err != nil {
			return Message{}, &BadLine{string(line), err}
		}
		return m, nil
	}
}
