package connect

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	spdytransport "k8s.io/client-go/transport/spdy"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/authn"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/internal/fakekubelet"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/internal/fakeserver"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/pki"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// A world is a kubelet, and an API server that is nothing but this package.
type world struct {
	t      *testing.T
	config *rest.Config
	url    string
	state  *fakeserver.Server
}

// newWorld lets everybody do what may returns true for.
func newWorld(t *testing.T, may func(verb string) bool) *world {
	t.Helper()
	dir := t.TempDir()
	if _, err := pki.Ensure(filepath.Join(dir, "pki")); err != nil {
		t.Fatal(err)
	}
	files := pki.Files{Dir: filepath.Join(dir, "pki")}
	w := &world{t: t, state: &fakeserver.Server{}}
	web := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "main"}}}}
	host, port := fakekubelet.Start(t, files, web)
	two := web.DeepCopy()
	two.Name, two.Spec.Containers, two.Spec.InitContainers = "two", []corev1.Container{{Name: "a"}, {Name: "b"}}, []corev1.Container{{Name: "init"}}
	waiting := web.DeepCopy()
	waiting.Name, waiting.Spec.NodeName = "waiting", ""
	lost := web.DeepCopy()
	lost.Name, lost.Spec.NodeName = "lost", "node-2"
	w.state.Add(pods, web, two, waiting, lost)
	one := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}}
	one.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "node-1"}, {Type: corev1.NodeInternalIP, Address: host}}
	one.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(port)
	w.state.Add(nodes, one, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-2"}})

	pool, err := authn.Authorities(files.CA())
	if err != nil {
		t.Fatal(err)
	}
	conf := Config{
		Kubelets: NewKubelets(KubeletConfig{CertFile: files.KubeletClient(), KeyFile: pki.Key(files.KubeletClient()), Authorities: pool}),
		Authorizer: authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
			if may == nil || may(a.GetVerb()) {
				return authorizer.DecisionAllow, "", nil
			}
			return authorizer.DecisionNoOpinion, "", nil
		}),
	}
	api := httptest.NewServer(route(w.state, conf))
	t.Cleanup(api.Close)
	w.url, w.config = api.URL, &rest.Config{Host: api.URL}
	return w
}

// route finds the subresource that a path names.
func route(state resource.Server, conf Config) http.Handler {
	infos := &request.RequestInfoFactory{APIPrefixes: sets.NewString("api"), GrouplessAPIPrefixes: sets.NewString("api")}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, err := infos.NewRequestInfo(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ctx := request.WithUser(request.WithRequestInfo(r.Context(), info), &user.DefaultInfo{Name: "alice"})
		all := map[string][]resource.Subresource{"pods": Subresources(conf), "nodes": NodeSubresources(conf), "services": ServiceSubresources(conf)}
		for _, sub := range all[info.Resource] {
			if sub.Name == info.Subresource {
				h, err := sub.Connect(state, info.Namespace, info.Name)
				if err != nil {
					http.Error(w, err.Error(), http.StatusInternalServerError)
					return
				}
				h.ServeHTTP(w, r.WithContext(ctx))
				return
			}
		}
		http.NotFound(w, r)
	})
}

// executors are the two ways by which kubectl reaches a process.
func (w *world) executors(verb, query string) map[string]remotecommand.Executor {
	w.t.Helper()
	u, err := url.Parse(w.url + "/api/v1/namespaces/default/pods/" + verb + "?" + query)
	if err != nil {
		w.t.Fatal(err)
	}
	spdy, err := remotecommand.NewSPDYExecutor(w.config, "POST", u)
	if err != nil {
		w.t.Fatal(err)
	}
	webSocket, err := remotecommand.NewWebSocketExecutor(w.config, "GET", u.String())
	if err != nil {
		w.t.Fatal(err)
	}
	return map[string]remotecommand.Executor{"SPDY": spdy, "WebSocket": webSocket}
}

type sizes chan remotecommand.TerminalSize

func (s sizes) Next() *remotecommand.TerminalSize {
	size, ok := <-s
	if !ok {
		return nil
	}
	return &size
}

func TestStreams(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		name, verb, query string
		in                string
		out, errOut, err  string
	}{
		{"exec", "web/exec", "command=echo&command=a+b&stdout=true", "", `c1 ["echo" "a b"] tty=false`, "", ""},
		{"exec by the container's name", "web/exec", "container=main&command=echo&stdout=true", "", `c1 ["echo"] tty=false`, "", ""},
		{"exec with input, to its end", "web/exec", "command=cat&stdin=true&stdout=true", strings.Repeat("0123456789", 20_000), strings.Repeat("0123456789", 20_000), "", ""},
		{"exit code", "web/exec", "command=exit&command=3&stdout=true&stderr=true", "", "", "I go\n", "command terminated with exit code 3"},
		{"terminal", "web/exec", "command=size&stdin=true&stdout=true&tty=true", "", "80x24", "", ""},
		{"attach", "web/attach", "stdout=true", "", "attached to c1", "", ""},
		{"no such container", "web/exec", "container=x&command=true&stdout=true", "", "", "", "container x is not valid for pod web"},
		{"no container named", "two/exec", "command=true&stdout=true", "", "", "", "a container name must be specified for pod two, choose one of: [init a b]"},
		{"no such pod", "none/exec", "command=true&stdout=true", "", "", "", `pods "none" not found`},
		{"not scheduled", "waiting/exec", "command=true&stdout=true", "", "", "", "pod waiting does not have a host assigned"},
		{"a node without an address", "lost/exec", "command=true&stdout=true", "", "", "", "no preferred addresses found; known addresses: []"},
	} {
		for protocol, executor := range w.executors(c.verb, c.query) {
			t.Run(c.name+" by "+protocol, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				var out, errOut bytes.Buffer
				o := remotecommand.StreamOptions{Stdout: &out, Tty: strings.Contains(c.query, "tty")}
				if strings.Contains(c.query, "stdin") {
					o.Stdin = strings.NewReader(c.in)
				}
				if strings.Contains(c.query, "stderr") {
					o.Stderr = &errOut
				}
				if o.Tty {
					size := make(sizes, 1)
					size <- remotecommand.TerminalSize{Width: 80, Height: 24}
					o.TerminalSizeQueue = size
					defer close(size)
				}
				err := executor.StreamWithContext(ctx, o)
				if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
					t.Errorf("got %v, want %q", err, c.err)
				}
				if out.String() != c.out || errOut.String() != c.errOut {
					t.Errorf("got %.80q and %.80q, want %.80q and %.80q", out.String(), errOut.String(), c.out, c.errOut)
				}
			})
		}
	}
}

func TestPortForward(t *testing.T) {
	w := newWorld(t, nil)
	u, err := url.Parse(w.url + "/api/v1/namespaces/default/pods/web/portforward")
	if err != nil {
		t.Fatal(err)
	}
	transport, upgrader, err := spdytransport.RoundTripperFor(w.config)
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := portforward.NewSPDYOverWebsocketDialer(u, w.config)
	if err != nil {
		t.Fatal(err)
	}
	type forwarderOf func(stop, ready chan struct{}) (*portforward.PortForwarder, error)
	for protocol, open := range map[string]forwarderOf{
		"SPDY": func(stop, ready chan struct{}) (*portforward.PortForwarder, error) {
			dialer := spdytransport.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", u)
			return portforward.New(dialer, []string{"0:8080"}, stop, ready, io.Discard, io.Discard)
		},
		"WebSocket": func(stop, ready chan struct{}) (*portforward.PortForwarder, error) {
			return portforward.New(tunnel, []string{"0:8080"}, stop, ready, io.Discard, io.Discard)
		},
	} {
		t.Run(protocol, func(t *testing.T) {
			stop, ready := make(chan struct{}), make(chan struct{})
			forwarder, err := open(stop, ready)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- forwarder.ForwardPorts() }()
			select {
			case <-ready:
			case err := <-ended:
				t.Fatal(err)
			}
			ports, err := forwarder.GetPorts()
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0].Local))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "hello"); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(conn); err != nil || string(got) != "8080 says hello" {
				t.Errorf("got %q, %v", got, err)
			}
			close(stop)
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReadersRunNoCommands(t *testing.T) {
	w := newWorld(t, func(verb string) bool { return verb == "get" })
	err := w.executors("web/exec", "command=true&stdout=true")["WebSocket"].StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdout: io.Discard})
	if err == nil || !strings.Contains(err.Error(), `pods "web" is forbidden: User "alice" cannot create resource "pods/exec" in API group "" in the namespace "default"`) {
		t.Errorf("got %v: who may get may run commands", err)
	}
}

func TestLogs(t *testing.T) {
	w := newWorld(t, nil)
	client, err := kubernetes.NewForConfig(w.config)
	if err != nil {
		t.Fatal(err)
	}
	n, stdout := func(i int64) *int64 { return &i }, corev1.LogStreamStdout
	since := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 1, 0, time.UTC))
	for _, c := range []struct {
		name, pod string
		o         corev1.PodLogOptions
		want, err string
	}{
		{"all", "web", corev1.PodLogOptions{}, "one\ntwo\nthree\n", ""},
		{"by the container's name, followed to its end", "web", corev1.PodLogOptions{Container: "main", Follow: true}, "one\ntwo\nthree\n", ""},
		{"the last line", "web", corev1.PodLogOptions{TailLines: n(1)}, "three\n", ""},
		{"some bytes", "web", corev1.PodLogOptions{LimitBytes: n(5)}, "one\nt", ""},
		{"since", "web", corev1.PodLogOptions{SinceTime: &since}, "two\nthree\n", ""},
		{"with the time", "web", corev1.PodLogOptions{Timestamps: true, TailLines: n(1)}, "2026-01-01T00:00:02Z three\n", ""},
		{"one stream", "web", corev1.PodLogOptions{Stream: &stdout}, "one\nthree\n", ""},
		{"trusting whoever answers", "web", corev1.PodLogOptions{InsecureSkipTLSVerifyBackend: true, TailLines: n(1)}, "three\n", ""},
		{"previous, of which there is none", "web", corev1.PodLogOptions{Previous: true}, "", `previous terminated container "main" in pod "web" not found`},
		{"not scheduled", "waiting", corev1.PodLogOptions{}, "", ""},
		{"no such container", "web", corev1.PodLogOptions{Container: "x"}, "", "container x is not valid for pod web"},
		{"no container named", "two", corev1.PodLogOptions{}, "", "a container name must be specified for pod two, choose one of: [init a b]"},
		{"a pod that the kubelet does not know", "two", corev1.PodLogOptions{Container: "a"}, "", `the server could not find the requested resource ( pods/log two)`},
		{"wrong", "web", corev1.PodLogOptions{TailLines: n(-1), LimitBytes: n(0), SinceSeconds: n(0)}, "", `PodLogOptions "web" is invalid: [tailLines: Invalid value: -1: must be greater than or equal to 0, limitBytes: Invalid value: 0: must be greater than 0, sinceSeconds: Invalid value: 0: must be greater than 0]`},
		{"two times", "web", corev1.PodLogOptions{SinceTime: &since, SinceSeconds: n(5)}, "", "at most one of `sinceTime` or `sinceSeconds` may be specified"},
		{"lines of one stream", "web", corev1.PodLogOptions{Stream: &stdout, TailLines: n(1)}, "", "`tailLines` and specific `stream` are mutually exclusive for now"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []byte
			body, err := client.CoreV1().Pods("default").GetLogs(c.pod, &c.o).Stream(t.Context())
			if err == nil {
				got, err = io.ReadAll(body)
				body.Close()
			}
			if c.err == "" && (err != nil || string(got) != c.want) {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
			if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("got %v, want %q", err, c.err)
			}
		})
	}
}

func TestRenewedCertificatesAreUsedAtOnce(t *testing.T) {
	dir := t.TempDir()
	a, err := pki.Ensure(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := pki.Files{Dir: dir}
	k := NewKubelets(KubeletConfig{CertFile: files.KubeletClient(), KeyFile: pki.Key(files.KubeletClient())})
	shown := func() []byte {
		t.Helper()
		cert, err := k.verified.TLSClientConfig.GetClientCertificate(&tls.CertificateRequestInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return cert.Certificate[0]
	}
	before := shown()
	if renewed, err := a.Renew(dir, 400*24*time.Hour); err != nil || len(renewed) != 2 {
		t.Fatal(renewed, err)
	}
	if bytes.Equal(before, shown()) {
		t.Error("the old certificate is shown still")
	}
}
