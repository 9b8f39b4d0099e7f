package server_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/server/servertest"
)

// send makes one request. Headers are "Name: value" lines.
func send(t testing.TB, conf *rest.Config, method, path, headers string, body io.Reader) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, conf.Host+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(headers, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			r.Header.Add(name, value)
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, data
}

func TestForms(t *testing.T) {
	_, conf := servertest.Start(t, servertest.Config())
	const path = "/api/v1/namespaces/default/configmaps"
	send(t, conf, "POST", path, "", strings.NewReader(`{"metadata":{"name":"a","labels":{"x":"y"}},"data":{"k":"v"}}`))
	for _, c := range []struct{ name, path, accept, contentType, want string }{
		{"JSON", path + "/a", "application/json", "application/json", `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"`},
		{"anything", path + "/a", "*/*", "application/json", `"kind":"ConfigMap"`},
		{"YAML", path + "/a", "application/yaml", "application/yaml", "kind: ConfigMap"},
		{"protobuf", path + "/a", "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf", "k8s\x00"},
		{"the first that we know", path, "application/cbor,application/yaml", "application/yaml", "kind: ConfigMapList"},
		{"a table", path, "application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "application/json", `"kind":"Table"`},
		{"metadata", path + "/a", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "application/json", `"kind":"PartialObjectMetadata"`},
		{"metadata of all", path, "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "application/json", `"kind":"PartialObjectMetadataList"`},
		{"pretty", path + "/a?pretty=true", "", "application/json", "{\n  \"kind\": \"ConfigMap\","},
		{"an empty list has items", "/api/v1/namespaces/none/configmaps", "", "application/json", `"items":[]`},
	} {
		resp, data := send(t, conf, "GET", c.path, "Accept: "+c.accept, nil)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != c.contentType || !strings.Contains(string(data), c.want) {
			t.Errorf("%s: got %d %s %.120q, want %s %q", c.name, resp.StatusCode, resp.Header.Get("Content-Type"), data, c.contentType, c.want)
		}
	}
}

func TestLargeAnswersAreCompressed(t *testing.T) {
	_, conf := servertest.Start(t, servertest.Config())
	const path = "/api/v1/namespaces/default/configmaps"
	for i := range 3 {
		body := fmt.Sprintf(`{"metadata":{"name":"a%d"},"data":{"k":"%s"}}`, i, strings.Repeat("long ", 20_000))
		if resp, data := send(t, conf, "POST", path, "", strings.NewReader(body)); resp.StatusCode != http.StatusCreated {
			t.Fatalf("%d %.200s", resp.StatusCode, data)
		}
	}
	resp, data := send(t, conf, "GET", path, "Accept-Encoding: gzip", nil)
	if resp.Header.Get("Content-Encoding") != "gzip" || len(data) > 50_000 {
		t.Fatalf("got %d bytes, encoding %q", len(data), resp.Header.Get("Content-Encoding"))
	}
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Items []any }
	if err := json.NewDecoder(r).Decode(&list); err != nil || len(list.Items) != 3 {
		t.Errorf("got %d items (%v), want 3", len(list.Items), err)
	}
	if resp, _ := send(t, conf, "GET", path+"?limit=1&labelSelector=none", "Accept-Encoding: gzip", nil); resp.Header.Get("Content-Encoding") != "" {
		t.Error("a small answer is compressed")
	}
}

// events reads n lines of a watch.
func events(t *testing.T, r *bufio.Reader, n int) (got []string) {
	t.Helper()
	for range n {
		line, err := r.ReadBytes('\n')
		if err != nil {
			t.Fatalf("after %v: %v", got, err)
		}
		var e struct {
			Type   string
			Object struct{ Metadata metav1.ObjectMeta }
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		text := e.Type + " " + e.Object.Metadata.Name
		if e.Object.Metadata.Annotations[metav1.InitialEventsAnnotationKey] == "true" {
			text += "initial events end"
		}
		got = append(got, text)
	}
	return got
}

func TestAWatchIsAStream(t *testing.T) {
	_, conf := servertest.Start(t, servertest.Config())
	const path = "/api/v1/namespaces/default/configmaps"
	send(t, conf, "POST", path, "", strings.NewReader(`{"metadata":{"name":"a"}}`))
	ask := func(query string) *bufio.Reader {
		r, err := http.NewRequestWithContext(t.Context(), "GET", conf.Host+path+"?watch=1&"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return bufio.NewReader(resp.Body)
	}
	full := ask("sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=60")
	if got := fmt.Sprint(events(t, full, 2)); got != "[ADDED a BOOKMARK initial events end]" {
		t.Errorf("initial events: got %s", got)
	}
	old := ask("timeoutSeconds=60")
	if got := fmt.Sprint(events(t, old, 1)); got != "[ADDED a]" {
		t.Errorf("without a version: got %s", got)
	}
	send(t, conf, "POST", path, "", strings.NewReader(`{"metadata":{"name":"b"}}`))
	send(t, conf, "DELETE", path+"/a", "", nil)
	for name, r := range map[string]*bufio.Reader{"with initial events": full, "without": old} {
		if got := fmt.Sprint(events(t, r, 2)); got != "[ADDED b DELETED a]" {
			t.Errorf("%s: got %s", name, got)
		}
	}
	if got := fmt.Sprint(events(t, ask("resourceVersion=1"), 1)); got != "[ADDED a]" {
		t.Errorf("from the beginning: got %s", got)
	}
	short := ask("timeoutSeconds=1&allowWatchBookmarks=true&resourceVersion=0")
	if got := fmt.Sprint(events(t, short, 3)); got != "[ADDED b BOOKMARK initial events end BOOKMARK ]" {
		t.Errorf("at its end: got %s", got)
	}
	if _, err := short.ReadByte(); err != io.EOF {
		t.Errorf("after its time: got %v, want the end", err)
	}
}

func TestAWatchOverWebSocket(t *testing.T) {
	_, conf := servertest.Start(t, servertest.Config())
	const path = "/api/v1/namespaces/default/configmaps"
	send(t, conf, "POST", path, "", strings.NewReader(`{"metadata":{"name":"a"}}`))
	ws, err := websocket.Dial("ws"+strings.TrimPrefix(conf.Host, "http")+path+"?watch=1&resourceVersion=0", "", "http://localhost")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	if err := ws.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var frame string
	if err := websocket.Message.Receive(ws, &frame); err != nil || !strings.HasPrefix(frame, `{"type":"ADDED","object":{"kind":"ConfigMap"`) {
		t.Errorf("got %.80q (%v)", frame, err)
	}
}

func TestDiscovery(t *testing.T) {
	_, conf := servertest.Start(t, servertest.Config())
	for _, c := range []struct{ path, accept, want string }{
		{"/api", "", `"versions":["v1"]`},
		{"/apis", "", `"name":"coordination.k8s.io"`},
		{"/api/v1", "", `"name":"pods/status"`},
		{"/apis/coordination.k8s.io", "", `"preferredVersion"`},
		{"/apis/coordination.k8s.io/v1", "", `"kind":"Lease"`},
		{"/api", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json", `"resource":"pods"`},
		{"/version", "", `"gitVersion"`},
		{"/", "", `"/readyz"`},
		{"/readyz/ping", "", "ok"},
		{"/livez?verbose", "", "[+]ping ok"},
	} {
		resp, data := send(t, conf, "GET", c.path, "Accept: "+c.accept, nil)
		if resp.StatusCode != http.StatusOK || !strings.Contains(string(data), c.want) {
			t.Errorf("%s: got %d %.200s, want %s", c.path, resp.StatusCode, data, c.want)
		}
	}
	resp, _ := send(t, conf, "GET", "/apis", "Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", nil)
	again, _ := send(t, conf, "GET", "/apis", "Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList\nIf-None-Match: "+resp.Header.Get("ETag"), nil)
	if again.StatusCode != http.StatusNotModified {
		t.Errorf("again with the tag: got %d, want 304", again.StatusCode)
	}
}

// What upstream's server does not serve, ours does not either, by the same codes.
func TestMethodsThatThereAreNot(t *testing.T) {
	_, conf := servertest.Start(t, servertest.Config())
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"DELETE", "/version", http.StatusMethodNotAllowed},
		{"POST", "/api/v1", http.StatusMethodNotAllowed},
		{"POST", "/apis", http.StatusMethodNotAllowed},
		{"HEAD", "/api/v1/namespaces", http.StatusMethodNotAllowed},
		{"HEAD", "/api/v1/namespaces/default/pods/none", http.StatusMethodNotAllowed},
		{"GET", "/api/v1/namespaces/default/finalize", http.StatusMethodNotAllowed},
		{"PATCH", "/api/v1/namespaces/default/finalize", http.StatusMethodNotAllowed},
		{"POST", "/api/v1/pods", http.StatusMethodNotAllowed},
		{"GET", "/api/v1/pods/none", http.StatusNotFound},
		{"GET", "/api/v1/pods?fieldSelector=metadata.name=none", http.StatusOK},
	} {
		if resp, data := send(t, conf, c.method, c.path, "", nil); resp.StatusCode != c.want {
			t.Errorf("%s %s: got %d %.200s, want %d", c.method, c.path, resp.StatusCode, data, c.want)
		}
	}
}

// FuzzRequests sends bodies, patches, selectors and tokens that nobody would: none
// may be answered with a 5xx, which a panic is.
func FuzzRequests(f *testing.F) {
	_, conf := servertest.Start(f, servertest.Config())
	const path = "/api/v1/namespaces/default/configmaps"
	if resp, data := send(f, conf, "POST", path, "", strings.NewReader(`{"metadata":{"name":"a","labels":{"x":"y"}},"data":{"k":"v"}}`)); resp.StatusCode != http.StatusCreated {
		f.Fatalf("%d %s", resp.StatusCode, data)
	}
	const pods, pod = "/api/v1/namespaces/default/pods", `{"metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80}]}]}}`
	if resp, data := send(f, conf, "POST", pods, "", strings.NewReader(pod)); resp.StatusCode != http.StatusCreated {
		f.Fatalf("%d %s", resp.StatusCode, data)
	}
	f.Add(uint8(0), []byte(`{"metadata":{"generateName":"g-"},"data":{"a":"b"}}`))
	f.Add(uint8(1), []byte("metadata:\n  generateName: g-\n"))
	f.Add(uint8(2), []byte("k8s\x00\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x00"))
	f.Add(uint8(3), []byte(`[{"op":"add","path":"/data/x","value":"y"},{"op":"copy","from":"/data","path":"/metadata/labels"}]`))
	f.Add(uint8(4), []byte(`{"data":{"k":null},"metadata":{"finalizers":["a/b"]}}`))
	f.Add(uint8(5), []byte(`{"metadata":{"$setElementOrder/finalizers":["a"],"ownerReferences":[{"$patch":"replace"}]},"$retainKeys":["data"]}`))
	f.Add(uint8(6), []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"z":"1"}}`))
	f.Add(uint8(7), []byte("labelSelector=x+in+(y)&fieldSelector=metadata.name%3Da&limit=1&continue=e30"))
	f.Add(uint8(8), []byte(`{"kind":"DeleteOptions","apiVersion":"meta.k8s.io/v1","preconditions":{"uid":"x"},"dryRun":["All"]}`))
	f.Add(uint8(6), []byte(`null`))
	f.Add(uint8(9), []byte(`{"spec":{"$setElementOrder/containers":[{"name":"d"},{"name":"c"}],"containers":[{"name":"d","image":"i","$patch":"delete"},{"name":"c","ports":[{"$patch":"replace"}]}]}}`))
	f.Add(uint8(10), []byte(`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"c","image":"j","env":[{"name":"E","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['a']"}}}]}]}}`))
	f.Add(uint8(11), []byte("fieldSelector=spec.nodeName!%3Da,status.phase%3DPending&labelSelector=!a,b+notin+(c,d)"))
	kinds := []struct{ method, path, contentType string }{
		{"POST", path + "?dryRun=All", "application/json"},
		{"POST", path + "?dryRun=All", "application/yaml"},
		{"POST", path + "?dryRun=All", "application/vnd.kubernetes.protobuf"},
		{"PATCH", path + "/a?dryRun=All", "application/json-patch+json"},
		{"PATCH", path + "/a?dryRun=All", "application/merge-patch+json"},
		{"PATCH", path + "/a?dryRun=All", "application/strategic-merge-patch+json"},
		{"PATCH", path + "/a?dryRun=All&fieldManager=f", "application/apply-patch+yaml"},
		{"GET", path + "?", ""},
		{"DELETE", path + "/a", "application/json"},
		{"PATCH", pods + "/a?dryRun=All", "application/strategic-merge-patch+json"},
		{"PATCH", pods + "/a?dryRun=All&fieldManager=f&force=true", "application/apply-patch+yaml"},
		{"GET", pods + "?", ""},
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		k := kinds[int(which)%len(kinds)]
		target, body := k.path, io.Reader(bytes.NewReader(data))
		if k.method == "GET" {
			target, body = target+queryOf(data), nil
		}
		resp, answer := send(t, conf, k.method, target, "Content-Type: "+k.contentType, body)
		if resp.StatusCode >= http.StatusInternalServerError && !strings.Contains(string(answer), "failed to create typed patch object") {
			t.Errorf("%s %s %q: got %d %s", k.method, target, data, resp.StatusCode, answer)
		}
		if k.method == "DELETE" && resp.StatusCode == http.StatusOK {
			send(t, conf, "POST", path, "", strings.NewReader(`{"metadata":{"name":"a"}}`))
		}
	})
}

// queryOf keeps what can stand in a URL at all, and asks for no watch, which has no end.
func queryOf(data []byte) string {
	q := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || r == '#' || r == '%' {
			return -1
		}
		return r
	}, string(data))
	return strings.ReplaceAll(q, "watch", "")
}
