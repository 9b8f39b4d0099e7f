package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/server/servertest"
)

// A client that asks for a watch and reads nothing must not hold up the writers,
// nor the other watchers.
func TestASlowWatcherHoldsUpNobody(t *testing.T) {
	_, conf := servertest.Start(t, servertest.Config())
	const path = "/api/v1/namespaces/default/configmaps"
	conn, err := net.Dial("tcp", strings.TrimPrefix(conf.Host, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET %s?watch=1&resourceVersion=0 HTTP/1.1\r\nHost: x\r\n\r\n", path)

	r, err := http.NewRequestWithContext(t.Context(), "GET", conf.Host+path+"?watch=1&resourceVersion=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()

	const writes, size = 16, 512 << 10 // more than all buffers between the two
	read := make(chan error, 1)
	go func() {
		_, err := io.CopyN(io.Discard, resp.Body, writes*size)
		read <- err
	}()
	large := strings.Repeat("x", size)
	for i := range writes {
		if resp, data := send(t, conf, "POST", path, "", strings.NewReader(fmt.Sprintf(`{"metadata":{"name":"a%d"},"data":{"k":%q}}`, i, large))); resp.StatusCode != http.StatusCreated {
			t.Fatalf("write %d: %d %.200s", i, resp.StatusCode, data)
		}
	}
	select {
	case err := <-read:
		if err != nil {
			t.Errorf("the other watcher: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the other watcher has not got everything in 30 s")
	}
}
