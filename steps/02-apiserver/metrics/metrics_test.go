package metrics_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"net/http"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/metrics"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/server"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/server/servertest"
)

// scrape is what Prometheus would read.
func scrape(m *metrics.Metrics) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// line returns the first line that has all parts.
func line(text string, parts ...string) string {
	for l := range strings.SplitSeq(text, "\n") {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(l, p)
		}
		if all {
			return l
		}
	}
	return ""
}

func TestRequestsAreCountedUnderUpstreamsNames(t *testing.T) {
	m := metrics.New()
	conf := servertest.Config()
	conf.Observers = []server.Observer{m}
	_, rest := servertest.Start(t, conf)
	for _, path := range []string{"/api/v1/namespaces/default/configmaps", "/api/v1/namespaces/default/configmaps/nowhere", "/api/v1/made-up-by-a-client", "/version"} {
		resp, err := http.Get(rest.Host + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	want := [][]string{
		{"apiserver_request_total", `verb="LIST"`, `resource="configmaps"`, `scope="namespace"`, `code="200"`, "} 1"},
		{"apiserver_request_total", `verb="GET"`, `resource="configmaps"`, `scope="resource"`, `code="404"`, "} 1"},
		{"apiserver_request_total", `resource=""`, `code="404"`, "} 1"},
		{"apiserver_request_duration_seconds_count", `verb="LIST"`, "} 1"},
		{"apiserver_response_sizes_count", `verb="LIST"`, "} 1"},
		{"apiserver_current_inflight_requests", `request_kind="readOnly"`, "} 0"},
		{"process_resident_memory_bytes"},
	}
	var text string
	for _, parts := range want {
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) { // the answer is out before it is counted
			if text = scrape(m); line(text, parts...) != "" {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("there is no line with %q in\n%s", parts, text)
			}
		}
	}
	if strings.Contains(text, "made-up") {
		t.Error("a client can make up labels, without end")
	}
}
