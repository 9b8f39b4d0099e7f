package connect

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestProxiesRefuse(t *testing.T) {
	w := newWorld(t, nil)
	self := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "self"}, Status: corev1.PodStatus{PodIP: "127.0.0.1"}}
	metadata := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "metadata"}, Status: corev1.PodStatus{PodIP: "169.254.169.254"}}
	w.state.Add(pods, self, metadata)
	for _, c := range []struct{ path, want string }{
		{"namespaces/default/pods/self/proxy/", "address not allowed"},
		{"namespaces/default/pods/metadata:80/proxy/", "address not allowed"},
		{"namespaces/default/pods/web/proxy/", "address not allowed"}, // it has none
		{"namespaces/default/pods/none/proxy/", `pods \"none\" not found`},
		{"namespaces/default/pods/ftp:web:21/proxy/", `invalid pod request \"ftp:web:21\"`},
		{"namespaces/default/services/ftp:web:21/proxy/", `invalid service request \"ftp:web:21\"`},
		{"namespaces/default/services/none:80/proxy/", `services \"none\" not found`},
		{"namespaces/default/services/none/proxy/", `no endpoints available for service \"none\"`},
		{"nodes/a:b:c:d/proxy/", `invalid node request \"a:b:c:d\"`},
		{"nodes/node-1/proxy/pods", "address not allowed"}, // a kubelet of the API server's own machine
		{"nodes/none/proxy/", `nodes \"none\" not found`},
		{"nodes/node-2/proxy/", "no preferred addresses found"},
	} {
		res, err := http.Get(w.url + "/api/v1/" + c.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode < 400 || !strings.Contains(string(body), `"kind":"Status"`) || !strings.Contains(string(body), c.want) {
			t.Errorf("%s: got %d %s, %v, want %s", c.path, res.StatusCode, body, err, c.want)
		}
	}
}

// TestReadersRunNoCommandsByTheNode: the kubelet takes a GET for exec, if it is a WebSocket's.
func TestReadersRunNoCommandsByTheNode(t *testing.T) {
	w := newWorld(t, func(verb string) bool { return verb == "get" })
	for upgrade, want := range map[string]string{"": "address not allowed", "websocket": `User \"alice\" cannot create resource \"nodes/proxy\" in API group \"\" at the cluster scope`} {
		r, err := http.NewRequest("GET", w.url+"/api/v1/nodes/node-1/proxy/exec/default/web/main?command=true", nil)
		if err != nil {
			t.Fatal(err)
		}
		if upgrade != "" {
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", upgrade)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("upgrade %q: got %d %s, %v, want %s", upgrade, res.StatusCode, body, err, want)
		}
	}
}

func TestPass(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
	}))
	defer backend.Close()
	location, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/a/b?c=d", "GET /a/b?c=d "},
		{"POST", "/a/", "POST /a/ body"},
		{"GET", "/", "GET / "},
	} {
		const prefix = "/api/v1/namespaces/default/pods/https:web:80/proxy"
		w, r := httptest.NewRecorder(), httptest.NewRequest(c.method, prefix+c.path, nil)
		if c.method == "POST" {
			r = httptest.NewRequest(c.method, prefix+c.path, strings.NewReader("body"))
		}
		there := *location
		pass(w, r, target{nil, "default", "https:web:80"}.path(r, "pods"), http.DefaultTransport, &there)
		if got := w.Body.String(); got != c.want {
			t.Errorf("%s %s: got %d %q, want %q", c.method, c.path, w.Code, got, c.want)
		}
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/api/v1/nodes/n/proxy", nil)
	pass(w, r, target{nil, "", "n"}.path(r, "nodes"), http.DefaultTransport, location)
	if w.Code != http.StatusMovedPermanently || w.Header().Get("Location") != "/api/v1/nodes/n/proxy/" {
		t.Errorf("a browser would take relative links from the wrong place: got %d, %s", w.Code, w.Header().Get("Location"))
	}
}

func TestProxyable(t *testing.T) {
	for host, want := range map[string]bool{
		"10.0.0.1": true, "fd00::1": true, "192.0.2.1": true, "": false, "127.0.0.1": false, "::1": false, "::ffff:127.0.0.1": false,
		"169.254.169.254": false, "0.0.0.0": false, "224.0.0.1": false, "localhost": false, "10.0.0.1:80": false,
	} {
		if got := proxyable(host); got != want {
			t.Errorf("%q: got %v, want %v", host, got, want)
		}
	}
}

func TestHostPort(t *testing.T) {
	for _, c := range []struct{ ip, port, want string }{
		{"10.0.0.1", "80", "10.0.0.1:80"}, {"10.0.0.1", "", "10.0.0.1"}, {"fd00::1", "80", "[fd00::1]:80"}, {"fd00::1", "", "[fd00::1]"},
	} {
		if got := hostPort(c.ip, c.port); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	spec := &corev1.PodSpec{Containers: []corev1.Container{{}, {Ports: []corev1.ContainerPort{{ContainerPort: 8080}}}}}
	if got := firstPort(spec) + firstPort(&corev1.PodSpec{}); got != "8080" {
		t.Errorf("got %q", got)
	}
}

func FuzzPathAfter(f *testing.F) {
	f.Add("/api/v1/namespaces/proxy/pods/proxy/proxy/proxy/x", "proxy", "proxy")
	f.Add("/api/v1/nodes/n/proxy", "", "n")
	f.Fuzz(func(t *testing.T, rest, namespace, name string) {
		prefix, kind := "/api/v1/nodes/", "nodes"
		if namespace != "" {
			prefix, kind = "/api/v1/namespaces/"+namespace+"/pods/", "pods"
		}
		if got := pathAfter(prefix+name+"/proxy"+rest, namespace, kind, name); got != rest {
			t.Errorf("got %q, want %q", got, rest)
		}
	})
}

func TestLogByWebSocket(t *testing.T) {
	w := newWorld(t, nil)
	conf, err := websocket.NewConfig(strings.Replace(w.url, "http", "ws", 1)+"/api/v1/namespaces/default/pods/web/log?container=main", "http://localhost")
	if err != nil {
		t.Fatal(err)
	}
	conf.Protocol = []string{"binary.k8s.io"}
	ws, err := websocket.DialConfig(conf)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	var got []byte
	for {
		var message []byte
		if err := websocket.Message.Receive(ws, &message); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, message...) // the first is empty
	}
	if string(got) != "one\ntwo\nthree\n" {
		t.Errorf("got %q", got)
	}
}

// TestOlderWebSocketsReachTheKubelet: those in which no stream can be closed are
// not translated, as the kubelet speaks them by itself.
func TestOlderWebSocketsReachTheKubelet(t *testing.T) {
	w := newWorld(t, nil)
	for _, protocol := range []string{"channel.k8s.io", "v4.channel.k8s.io"} {
		conf, err := websocket.NewConfig(strings.Replace(w.url, "http", "ws", 1)+"/api/v1/namespaces/default/pods/web/exec?command=echo&stdout=true&stderr=true", "http://localhost")
		if err != nil {
			t.Fatal(err)
		}
		conf.Protocol = []string{protocol}
		ws, err := websocket.DialConfig(conf)
		if err != nil {
			t.Fatal(err)
		}
		got := map[byte]string{}
		for {
			var message []byte
			if err := websocket.Message.Receive(ws, &message); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if len(message) > 0 {
				got[message[0]] += string(message[1:])
			}
		}
		ws.Close()
		if want := `c1 ["echo"] tty=false`; got[1] != want {
			t.Errorf("%s: got %q, want %q on stdout", protocol, got, want)
		}
	}
}
