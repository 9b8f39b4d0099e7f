package server

import (
	"net"
	"sync"
)

// connections is a listener that knows which of its connections are open.
type connections struct {
	net.Listener

	mu   sync.Mutex // guards open
	open map[*connection]bool
}

type connection struct {
	net.Conn
	of *connections
}

// Accept implements net.Listener.
func (l *connections) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &connection{conn, l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[*connection]bool{}
	}
	l.open[c] = true
	return c, nil
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

func (l *connections) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		c.Conn.Close()
	}
}
