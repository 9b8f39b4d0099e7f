package server

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/websocket"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// dial opens a WebSocket in which the first byte of a message is its channel.
func dial(t *testing.T, addr, path string) *websocket.Conn {
	t.Helper()
	conf, err := websocket.NewConfig("ws://"+addr+path, "http://localhost")
	if err != nil {
		t.Fatal(err)
	}
	conf.Protocol = []string{"v4.channel.k8s.io"}
	ws, err := websocket.DialConfig(conf)
	if err != nil {
		t.Fatal(err)
	}
	return ws
}

// receive reads messages until the server closes, and joins them by channel.
func receive(t *testing.T, ws *websocket.Conn) map[byte]string {
	t.Helper()
	out := map[byte]string{}
	for {
		var message []byte
		if err := websocket.Message.Receive(ws, &message); err == io.EOF {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		if len(message) > 0 {
			out[message[0]] += string(message[1:])
		}
	}
}

// servers are a kubelet whose runtime is in this process, and one whose runtime
// has a streaming server of its own.
func servers(t *testing.T) map[string]*httptest.Server {
	t.Helper()
	local := httptest.NewServer(newServer(t, newFake(t), nil).Handler())
	t.Cleanup(local.Close)

	remote := newFake(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/exec", func(w http.ResponseWriter, r *http.Request) {
		options := &remotecommand.Options{Stdout: true}
		remotecommand.ServeExec(w, r, streams{echo{}}, "", "", "c1", []string{"true"}, options,
			streaming.DefaultConfig.StreamIdleTimeout, streaming.DefaultConfig.StreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
	})
	runtime := httptest.NewServer(mux)
	t.Cleanup(runtime.Close)
	remote.url = runtime.URL
	proxied := httptest.NewServer(newServer(t, remote, func(c *Config) { c.Streaming = nil }).Handler())
	t.Cleanup(proxied.Close)
	return map[string]*httptest.Server{"in process": local, "proxied": proxied}
}

func TestExecByWebSocket(t *testing.T) {
	for name, srv := range servers(t) {
		t.Run(name, func(t *testing.T) {
			ws := dial(t, srv.Listener.Addr().String(), "/exec/default/web/1234/main?command=true&output=1")
			defer ws.Close()
			got := receive(t, ws)
			if want := "c1 true tty=false\n"; got[1] != want || !strings.Contains(got[3], `"status":"Success"`) {
				t.Errorf("got %q, want %q and success", got, want)
			}
		})
	}
}

func TestExecTellsTheExitCode(t *testing.T) {
	ws := dial(t, servers(t)["in process"].Listener.Addr().String(), "/exec/default/web/main?command=exit&output=1&tty=1")
	defer ws.Close()
	got := receive(t, ws)
	if !strings.Contains(got[1], "tty=true") || !strings.Contains(got[3], `"reason":"NonZeroExitCode"`) || !strings.Contains(got[3], `"message":"3"`) {
		t.Errorf("got %q", got)
	}
}

func TestAttachByWebSocket(t *testing.T) {
	ws := dial(t, servers(t)["in process"].Listener.Addr().String(), "/attach/default/web/main?output=1")
	defer ws.Close()
	if got := receive(t, ws); !strings.HasPrefix(got[1], "c1 attached") {
		t.Errorf("got %q", got)
	}
}

func TestExecBySPDY(t *testing.T) {
	for name, srv := range servers(t) {
		t.Run(name, func(t *testing.T) {
			conn := upgrade(t, srv.URL+"/exec/default/web/main?command=true&output=1", "v4.channel.k8s.io")
			defer conn.Close()
			errors := stream(t, conn, http.Header{"streamType": {"error"}})
			stdout := stream(t, conn, http.Header{"streamType": {"stdout"}})
			got, err := io.ReadAll(stdout)
			if err != nil || string(got) != "c1 true tty=false\n" {
				t.Errorf("got %q, %v", got, err)
			}
			if status, err := io.ReadAll(errors); err != nil || !strings.Contains(string(status), `"status":"Success"`) {
				t.Errorf("got %q, %v", status, err)
			}
		})
	}
}

func TestPortForwardBySPDY(t *testing.T) {
	conn := upgrade(t, servers(t)["in process"].URL+"/portForward/default/web", "portforward.k8s.io")
	defer conn.Close()
	for i, port := range []string{"80", "8080"} {
		id := fmt.Sprint(i)
		stream(t, conn, http.Header{"streamType": {"error"}, "port": {port}, "requestID": {id}}).Close()
		data := stream(t, conn, http.Header{"streamType": {"data"}, "port": {port}, "requestID": {id}})
		if _, err := io.WriteString(data, "hello"); err != nil {
			t.Fatal(err)
		}
		data.Close()
		if got, err := io.ReadAll(data); err != nil || string(got) != "s1:"+port+" hello" {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func TestPortForwardByWebSocket(t *testing.T) {
	ws := dial(t, servers(t)["in process"].Listener.Addr().String(), "/portForward/default/web?port=80")
	defer ws.Close()
	want := "s1:80 "
	got := ""
	for len(got) < len(want) {
		var message []byte
		if err := websocket.Message.Receive(ws, &message); err != nil {
			t.Fatal(err)
		}
		if message[0] != 0 {
			continue
		}
		if text := message[1:]; len(text) == 2 && got == "" { // the port comes first
			if port := binary.LittleEndian.Uint16(text); port != 80 {
				t.Errorf("got port %d", port)
			}
		} else {
			got += string(text)
		}
	}
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func upgrade(t *testing.T, target string, protocol string) httpstream.Connection {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := spdy.NewRoundTripper(nil)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("POST", u.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Add(httpstream.HeaderProtocolVersion, protocol)
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	conn, err := transport.NewConnection(res)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func stream(t *testing.T, conn httpstream.Connection, headers http.Header) httpstream.Stream {
	t.Helper()
	canonical := http.Header{}
	for k, v := range headers {
		canonical.Set(k, v[0])
	}
	s, err := conn.CreateStream(canonical)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
