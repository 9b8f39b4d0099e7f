package gather_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/gather"
)

// pair returns both ends of a connection over loopback, near the one that gathers.
func pair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = gather.NewListener(l)
	defer l.Close()
	if far, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// All that was written arrives, in its order, and Close waits for it.
func TestEverythingArrives(t *testing.T) {
	near, far := pair(t)
	var want bytes.Buffer
	for i := range 20_000 {
		fmt.Fprintf(&want, "%d, ", i)
	}
	go func() {
		defer near.Close()
		for i := range 20_000 {
			fmt.Fprintf(near, "%d, ", i)
		}
	}()
	got, err := io.ReadAll(far)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes arrived as they were written, of %d: %v", len(got), want.Len(), err)
	}
}

// counted is a network that takes nothing until it is opened, and counts what it is handed.
type counted struct {
	net.Conn
	opened chan struct{}
	mu     sync.Mutex // guards writes
	writes [][]byte
}

func (c *counted) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.writes = append(c.writes, bytes.Clone(p))
	c.mu.Unlock()
	<-c.opened
	return len(p), nil
}
func (c *counted) SetWriteDeadline(time.Time) error { return nil }
func (c *counted) Close() error                     { return nil }

func TestWhatIsWrittenMeanwhileLeavesTogether(t *testing.T) {
	network := &counted{opened: make(chan struct{})}
	c := gather.NewConn(network)
	for range 1000 {
		if _, err := c.Write([]byte("event")); err != nil {
			t.Fatal(err)
		}
	}
	close(network.opened)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if all := bytes.Join(network.writes, nil); len(network.writes) > 2 || !bytes.Equal(all, bytes.Repeat([]byte("event"), 1000)) {
		t.Errorf("%d writes with %d bytes, want two at most with all of them", len(network.writes), len(all))
	}
}

// Who does not read stops who writes, until a deadline or the end of the connection.
func TestASlowReaderStopsTheWriter(t *testing.T) {
	for name, c := range map[string]struct {
		stop func(near net.Conn)
		want error
	}{
		"deadline":      {func(near net.Conn) { near.SetWriteDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"closed":        {func(near net.Conn) { near.Close() }, net.ErrClosed},
		"reader leaves": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := pair(t)
			taken := make(chan struct{}, 1)
			ended := make(chan error)
			go func() {
				for {
					if _, err := near.Write(make([]byte, 64<<10)); err != nil {
						ended <- err
						return
					}
					select {
					case taken <- struct{}{}:
					default:
					}
				}
			}()
			for stuck := false; !stuck; {
				select {
				case <-taken:
				case <-time.After(200 * time.Millisecond): // no write has returned meanwhile
					stuck = true
				}
			}
			if c.stop != nil {
				c.stop(near)
			} else {
				far.Close()
			}
			if err := <-ended; c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("the write ended with %v, want %v", err, c.want)
			}
		})
	}
}
