package probe

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func expect(t *testing.T, got answer, result Result, output string) {
	t.Helper()
	if got.result != result || !strings.Contains(got.output, output) {
		t.Errorf("got %s %q, want %s %q", got.result, got.output, result, output)
	}
}

// ask asks once, of a pod at 127.0.0.1 with the port "web".
func ask(t *testing.T, port int, h corev1.ProbeHandler) answer {
	t.Helper()
	return askWithin(t, 1, port, h)
}

func askWithin(t *testing.T, seconds int32, port int, h corev1.ProbeHandler) answer {
	t.Helper()
	c := &corev1.Container{Name: "main", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: int32(port)}}}
	return asker(nil, c, &corev1.Probe{ProbeHandler: h, TimeoutSeconds: seconds})(t.Context(), "", "127.0.0.1")
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestHTTP(t *testing.T) {
	release := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("fine")) })
	mux.HandleFunc("/500", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "secret", 500) })
	mux.HandleFunc("/304", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) { <-release })
	mux.HandleFunc("/huge", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 1<<20)) })
	mux.Handle("/local", http.RedirectHandler("/500", http.StatusFound))
	mux.Handle("/away", http.RedirectHandler("http://192.0.2.1/", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.HandleFunc("/headers", func(w http.ResponseWriter, r *http.Request) {
		if got := r.Host + " " + strings.Join(r.Header["Accept"], ",") + " " + r.UserAgent() + " " + strings.Join(r.Header["X"], ","); got != r.FormValue("want") {
			http.Error(w, got, 400)
		}
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	defer close(release)
	port := portOf(t, srv.Listener.Addr().String())

	header := func(pairs ...string) []corev1.HTTPHeader {
		var out []corev1.HTTPHeader
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, corev1.HTTPHeader{Name: pairs[i], Value: pairs[i+1]})
		}
		return out
	}
	want := func(s string) string { return "/headers?want=" + url.QueryEscape(s) }
	host := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	for _, tt := range []struct {
		name    string
		path    string
		port    intstr.IntOrString
		host    string
		headers []corev1.HTTPHeader
		result  Result
		output  string
	}{
		{name: "ok", path: "/ok", result: Success, output: "fine"},
		{name: "number", path: "/ok", port: intstr.FromInt(port), result: Success, output: "fine"},
		{name: "no such port", path: "/ok", port: intstr.FromString("nope"), result: Unknown, output: "port nope not found"},
		{name: "bad port", path: "/ok", port: intstr.FromInt(70000), result: Unknown, output: "invalid port number: 70000"},
		{name: "error", path: "/500", result: Failure, output: "HTTP probe failed with statuscode: 500"},
		{name: "redirect on the host", path: "/local", result: Failure, output: "statuscode: 500"},
		{name: "redirect elsewhere", path: "/away", result: Success, output: "Probe terminated redirects"},
		{name: "redirect for ever", path: "/loop", result: Failure, output: "stopped after 10 redirects"},
		{name: "not modified", path: "/304", result: Success, output: "Probe terminated redirects"},
		{name: "slow", path: "/slow", result: Failure, output: "Client.Timeout exceeded"},
		{name: "huge", path: "/huge", result: Success},
		{name: "default headers", path: want(host + " */* kube-probe/1.37 "), result: Success},
		{name: "own headers", path: want("example.com text/plain me 1,2"), result: Success,
			headers: header("Host", "example.com", "Accept", "text/plain", "User-Agent", "me", "X", "1", "X", "2")},
		{name: "no accept", path: want(host + "  kube-probe/1.37 "), headers: header("Accept", ""), result: Success},
		{name: "host", path: "/ok", host: "localhost", result: Success},
		{name: "refused", path: "/", port: intstr.FromInt(1), result: Failure, output: "connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.port == (intstr.IntOrString{}) {
				tt.port = intstr.FromString("web")
			}
			got := ask(t, port, corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: tt.path, Port: tt.port, Host: tt.host, HTTPHeaders: tt.headers}})
			expect(t, got, tt.result, tt.output)
			if strings.Contains(got.output, "secret") || len(got.output) > maxOutput {
				t.Errorf("got %d bytes: %.100q", len(got.output), got.output)
			}
		})
	}
}

func TestHTTPVersions(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(r.Proto)) })
	plain := httptest.NewUnstartedServer(handler)
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetHTTP1(true)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	defer plain.Close()
	secure := httptest.NewUnstartedServer(handler)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	h2 := corev1.HTTPProtocolHTTP2
	for _, tt := range []struct {
		server   *httptest.Server
		scheme   corev1.URIScheme
		protocol *corev1.HTTPProtocol
		want     string
	}{
		{plain, "", nil, "HTTP/1.1"},
		{plain, corev1.URISchemeHTTP, &h2, "HTTP/2.0"},
		{secure, corev1.URISchemeHTTPS, nil, "HTTP/2.0"}, // and a certificate that nobody signed
	} {
		port := portOf(t, tt.server.Listener.Addr().String())
		// A TLS handshake takes more than a second of an emulated processor.
		got := askWithin(t, 60, port, corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt(port), Scheme: tt.scheme, Protocol: tt.protocol}})
		expect(t, got, Success, tt.want)
	}
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := portOf(t, l.Addr().String())
	tcp := corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("web")}}
	expect(t, ask(t, port, tcp), Success, "")
	l.Close()
	expect(t, ask(t, port, tcp), Failure, "connection refused")
}

func TestGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, checks := grpc.NewServer(), health.NewServer()
	checks.SetServingStatus("down", healthpb.HealthCheckResponse_NOT_SERVING)
	healthpb.RegisterHealthServer(srv, checks)
	go srv.Serve(l)
	defer srv.Stop()
	port := portOf(t, l.Addr().String())
	probe := func(port int, service string) answer {
		return ask(t, port, corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: int32(port), Service: &service}})
	}
	expect(t, probe(port, ""), Success, "service healthy")
	expect(t, probe(port, "down"), Failure, `service unhealthy (responded with "NOT_SERVING")`)
	expect(t, probe(port, "none"), Failure, "unknown service")
	expect(t, probe(1, ""), Failure, `failed to connect service at "127.0.0.1:1"`)

	bare, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	expect(t, probe(portOf(t, bare.Addr().String()), ""), Failure, "timeout: health rpc did not complete within 1s")

	l2, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	without := grpc.NewServer()
	go without.Serve(l2)
	defer without.Stop()
	expect(t, probe(portOf(t, l2.Addr().String()), ""), Failure, "does not implement the grpc health protocol")
}

func TestExec(t *testing.T) {
	for _, tt := range []struct {
		name   string
		output string
		code   int
		err    error
		result Result
		want   string
	}{
		{name: "success", output: "fine", result: Success, want: "fine"},
		{name: "failure", output: "bad", code: 3, result: Failure, want: "bad"},
		{name: "timeout", err: context.DeadlineExceeded, result: Failure, want: `command timed out: "cat 1" timed out after 1s`},
		{name: "timeout over gRPC", err: status.Error(codes.DeadlineExceeded, "x"), result: Failure, want: "command timed out"},
		{name: "no answer", err: errors.New("gone"), result: Unknown, want: "gone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exec := func(_ context.Context, id string, command []string, timeout time.Duration) ([]byte, int, error) {
				if got := id + " " + strings.Join(command, " "); got != "abc cat 1" || timeout != time.Second {
					t.Errorf("got %q, %v", got, timeout)
				}
				return []byte(tt.output), tt.code, tt.err
			}
			c := &corev1.Container{Env: []corev1.EnvVar{{Name: "A", Value: "1"}}}
			p := &corev1.Probe{TimeoutSeconds: 1, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"cat", "$(A)"}}}}
			expect(t, asker(exec, c, p)(t.Context(), "groundup://abc", ""), tt.result, tt.want)
		})
	}
}

func TestNoHandlerAndNoAddress(t *testing.T) {
	expect(t, ask(t, 80, corev1.ProbeHandler{}), Unknown, "missing probe handler")
	tcp := corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(80)}}
	expect(t, asker(nil, &corev1.Container{}, &corev1.Probe{ProbeHandler: tcp})(t.Context(), "", ""), Unknown, "the pod has no address")
	grpc := corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 80}}
	expect(t, asker(nil, &corev1.Container{}, &corev1.Probe{ProbeHandler: grpc})(t.Context(), "", ""), Unknown, "the pod has no address")
}
