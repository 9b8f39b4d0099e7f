package server_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/fairness"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/server"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/server/servertest"
)

// A patch that copies an object into itself, again and again, doubles it each time: thirty
// operations would take all the memory that there is.
func TestAJSONPatchCannotCopyWithoutEnd(t *testing.T) {
	_, conf := servertest.Start(t, servertest.Config())
	const path = "/api/v1/namespaces/default/configmaps"
	body := fmt.Sprintf(`{"metadata":{"name":"a","annotations":{"x":%q}}}`, strings.Repeat("x", 64<<10))
	if resp, data := send(t, conf, "POST", path, "", strings.NewReader(body)); resp.StatusCode != http.StatusCreated {
		t.Fatalf("%d %.200s", resp.StatusCode, data)
	}
	var operations []string
	for i := range 9 { // 32 MiB
		operations = append(operations, fmt.Sprintf(`{"op":"copy","from":"/metadata/annotations","path":"/metadata/annotations/c%d"}`, i))
	}
	resp, data := send(t, conf, "PATCH", path+"/a", "Content-Type: application/json-patch+json", strings.NewReader("["+strings.Join(operations, ",")+"]"))
	if resp.StatusCode != http.StatusUnprocessableEntity || strings.Contains(string(data), "Invalid value") {
		t.Errorf("got %d %.200s, want a refusal of the copies, not of what they made", resp.StatusCode, data)
	}
}

// A client that asks for much and reads nothing gives its place back when its time is over.
func TestWhoReadsNothingKeepsNobodyOut(t *testing.T) {
	conf := servertest.Config()
	conf.Timeout = 4 * time.Second
	conf.Limit = fairness.Handler{Reads: fairness.New(1, 1), Writes: fairness.New(1, 1), Lasting: server.LongRunning}.Wrap
	s, rest := servertest.Start(t, conf)
	s.Prepare()
	const path = "/api/v1/namespaces/default/configmaps"
	large := strings.Repeat("x", 512<<10)
	for i := range 16 { // more than all buffers between the two
		if resp, data := send(t, rest, "POST", path, "", strings.NewReader(fmt.Sprintf(`{"metadata":{"name":"a%d"},"data":{"k":%q}}`, i, large))); resp.StatusCode != http.StatusCreated {
			t.Fatalf("write %d: %d %.200s", i, resp.StatusCode, data)
		}
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(rest.Host, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nTest-User: idle\r\n\r\n", path)
	if _, err := conn.Read(make([]byte, 1)); err != nil { // it has the place
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; {
		resp, data := send(t, rest, "GET", path+"/a0", "Test-User: jane", nil)
		if resp.StatusCode == http.StatusOK {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("20 s later: got %d %.200s, want the object", resp.StatusCode, data)
		}
	}
}

// A token is for this server, also when a certificate has told already who it is: what
// is passed on to a pod must not have it.
func TestATokenStaysHere(t *testing.T) {
	conf := servertest.Config()
	conf.Handlers = map[string]http.Handler{"/seen": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q", r.Header["Authorization"])
	})}
	_, rest := servertest.Start(t, conf)
	if _, data := send(t, rest, "GET", "/seen", "Authorization: Bearer secret", nil); string(data) != "[]" {
		t.Errorf("the handler sees %s", data)
	}
}

// A log may take longer to read than other answers: it is as long as it is.
func TestLogsMayTakeTheirTime(t *testing.T) {
	for path, want := range map[string]bool{
		"/api/v1/namespaces/default/pods/a/log":             true,
		"/api/v1/namespaces/default/pods/a/log?follow=true": true,
		"/api/v1/namespaces/default/pods?watch=1":           true,
		"/api/v1/namespaces/default/pods/a":                 false,
		"/debug/pprof/profile?seconds=90":                   true,
		"/version":                                          false,
	} {
		lasting := make(chan bool, 1)
		conf := servertest.Config()
		conf.Limit = func(http.Handler) http.Handler {
			return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { lasting <- server.LongRunning(r) })
		}
		_, rest := servertest.Start(t, conf)
		send(t, rest, "GET", path, "", nil)
		if got := <-lasting; got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

type observer func(server.Stage, *server.Exchange)

func (o observer) Observe(stage server.Stage, e *server.Exchange) { o(stage, e) }

// What is counted and written down is the answer that the client gets.
func TestAPanicIsNoSuccess(t *testing.T) {
	told := make(chan int, 1)
	conf := servertest.Config()
	conf.Handlers = map[string]http.Handler{"/bug": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") })}
	conf.Observers = []server.Observer{observer(func(stage server.Stage, e *server.Exchange) {
		if stage == server.Complete {
			told <- e.Code
		}
	})}
	_, rest := servertest.Start(t, conf)
	resp, data := send(t, rest, "GET", "/bug", "", nil)
	if got := <-told; got != resp.StatusCode || got != http.StatusInternalServerError {
		t.Errorf("the client got %d %s, the observers %d", resp.StatusCode, data, got)
	}
}

// Who follows a log would hold up the end of the server until its patience is over, while
// nobody can connect to it any more.
func TestALogThatIsFollowedEndsWithTheServer(t *testing.T) {
	begun := make(chan struct{})
	conf := servertest.Config()
	for i := range conf.Rows {
		if row := &conf.Rows[i]; row.Name == "pods" {
			row.Subresources = append(row.Subresources, resource.Subresource{Name: "log", Connect: func(resource.Server, string, string) (http.Handler, error) {
				return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					close(begun)
					<-r.Context().Done()
				}), nil
			}})
		}
	}
	s, rest := servertest.Start(t, conf)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		send(t, rest, "GET", "/api/v1/namespaces/default/pods/a/log?follow=true", "", nil)
	}()
	<-begun
	s.Drain()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("20 s after the server was told to stop it is not over")
	}
}
