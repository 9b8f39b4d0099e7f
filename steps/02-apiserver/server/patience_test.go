package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/server"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/server/servertest"
)

// A line is a listener of one connection, which holds no byte between its ends.
type line struct {
	ends  chan net.Conn
	close sync.Once
}

func (l *line) Accept() (net.Conn, error) {
	if c, ok := <-l.ends; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *line) Close() error   { l.close.Do(func() { close(l.ends) }); return nil }
func (l *line) Addr() net.Addr { return &net.UnixAddr{} }

const large = 64 << 10

// onALine calls f with a connection to a server that has n large ConfigMaps. Time is not
// the world's: it passes when everybody waits.
func onALine(t *testing.T, n int, f func(t *testing.T, client net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		s, err := server.New(servertest.Config())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { s.Run(ctx) })
		maps := schema.GroupResource{Resource: "configmaps"}
		s.Registry(maps).Admission = nil // there are no namespaces
		for i := range n {
			obj := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: strconv.Itoa(i)}, Data: map[string]string{"k": strings.Repeat("x", large)}}
			if _, err := s.Objects().Create(ctx, maps, obj); err != nil {
				t.Fatal(err)
			}
		}
		client, its := net.Pipe()
		l, h := &line{ends: make(chan net.Conn, 1)}, &http.Server{Handler: s.Handler()}
		l.ends <- its
		running.Go(func() { _ = h.Serve(l) })
		defer running.Wait()
		defer l.Close()
		defer h.Close()
		defer cancel()
		defer s.Drain()
		defer client.Close()
		f(t, client)
	})
}

const watchAll = "/api/v1/configmaps?watch=1&resourceVersion=0"

// A connection that was taken over has no server that looks after it: a client that
// reads nothing must not hold it, and what waits for it, for ever.
func TestASlowWatcherOverWebSocketIsCutOff(t *testing.T) {
	onALine(t, 2, func(t *testing.T, client net.Conn) {
		conf, err := websocket.NewConfig("ws://x"+watchAll, "http://x")
		if err != nil {
			t.Fatal(err)
		}
		ws, err := websocket.NewClient(conf, client)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		var got []byte
		for range 2 {
			if err := websocket.Message.Receive(ws, &got); err != nil {
				return
			}
		}
		t.Error("after ten minutes the client can go on reading, want the end")
	})
}

// Who begins with many objects may take long to read all of them, if it reads at all:
// cut off, it would begin anew, and never come to the end.
func TestWhoReadsSlowlyGetsAll(t *testing.T) {
	onALine(t, 20, func(t *testing.T, client net.Conn) {
		fmt.Fprintf(client, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", watchAll)
		r := bufio.NewReader(client)
		for read := 0; read < 20*large; read += large {
			time.Sleep(10 * time.Second)
			if _, err := io.CopyN(io.Discard, r, large); err != nil {
				t.Fatalf("after %d KiB: %v", read>>10, err)
			}
		}
	})
}
