// Package gather makes one write of many small ones.
//
// A server of watches writes the same event to a thousand streams. Each is a frame of
// HTTP/2, a record of TLS, and a system call that takes longer than all before it. Here
// another goroutine makes the calls: what is written until it comes to run, and while it
// waits for the kernel, leaves together. What is written alone leaves at once.
package gather

import (
	"bytes"
	"net"
	"sync"
	"time"
)

const (
	// atMost is how many bytes wait for the network before a writer does.
	atMost = 64 << 10

	// goodbye is how long what has been written has to leave when the connection is closed.
	goodbye = time.Second
)

// NewListener returns a listener whose connections gather what is written to them.
func NewListener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return NewConn(c), nil
}

// NewConn returns a connection that gathers what is written to it. A write returns when
// its bytes have been taken, and waits while too many are on their way; an error of the
// network is told to the next write. The deadline for writing is that of the connection
// below. Close lets what has been written leave, for a second at most.
func NewConn(c net.Conn) net.Conn {
	g := &conn{Conn: c}
	g.change.L = &g.mu
	return g
}

type conn struct {
	net.Conn

	mu      sync.Mutex // guards the fields below
	change  sync.Cond  // of each of them
	waiting bytes.Buffer
	leaving bytes.Buffer // in the hands of send while sending
	sending bool
	closed  bool
	err     error // of the first write that failed
}

func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && !c.closed && c.waiting.Len() >= atMost {
		c.change.Wait()
	}
	switch {
	case c.err != nil:
		return 0, c.err
	case c.closed:
		return 0, net.ErrClosed
	}
	if !c.sending {
		c.sending = true
		go c.send()
	}
	return c.waiting.Write(p)
}

// send writes until nothing waits.
func (c *conn) send() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && c.waiting.Len() > 0 {
		c.leaving, c.waiting = c.waiting, c.leaving
		c.change.Broadcast()
		c.mu.Unlock()
		_, err := c.leaving.WriteTo(c.Conn)
		c.mu.Lock()
		c.leaving.Reset()
		c.err = err
	}
	c.sending = false
	c.change.Broadcast()
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.change.Broadcast()
	if c.sending {
		_ = c.Conn.SetWriteDeadline(time.Now().Add(goodbye)) // a connection that can't is closed below
	}
	for c.sending {
		c.change.Wait()
	}
	c.mu.Unlock()
	return c.Conn.Close()
}
