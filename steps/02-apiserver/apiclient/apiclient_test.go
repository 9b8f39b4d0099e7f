package apiclient

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

func TestClientsSayWhoTheyAreAndSpeakProtobuf(t *testing.T) {
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		http.Error(w, "no", http.StatusTeapot)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: %q}}],
users: [{name: u, user: {token: secret}}], contexts: [{name: c, context: {cluster: c, user: u}}]}`, server.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	clients, err := New(Config{Kubeconfig: file, Component: "kubelet", QPS: 50, Burst: 100, Patience: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for name, client := range map[string]kubernetes.Interface{"api": clients.API, "heartbeat": clients.Heartbeat} {
		if _, err := client.CoreV1().Nodes().Get(t.Context(), "node-1", metav1.GetOptions{}); err == nil {
			t.Errorf("%s: got no error from a teapot", name)
		}
		if agent := got.Get("User-Agent"); !strings.HasPrefix(agent, "kubelet/v1.37.1") {
			t.Errorf("%s: got user agent %q", name, agent)
		}
		if accept := got.Get("Accept"); !strings.HasPrefix(accept, "application/vnd.kubernetes.protobuf") || !strings.HasSuffix(accept, "application/json") {
			t.Errorf("%s: got accept %q", name, accept)
		}
	}
	if _, err := New(Config{Kubeconfig: file + "x"}); err == nil || !strings.HasPrefix(err.Error(), "kubeconfig "+file+"x") {
		t.Errorf("got %v for a file that is not there", err)
	}
}
