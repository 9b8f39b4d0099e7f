package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

var record = flag.Bool("record", false, "write down the answers of the server of $KUBECONFIG, which is upstream's: make refusals")

const recorded = "testdata/refusals.upstream.yaml"

// A corpus is requests that must be refused, and what is there when they come.
type corpus struct {
	There    []call  `json:"there"`
	Requests []wrong `json:"requests"`
}

type call struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Accept string `json:"accept"`
	Type   string `json:"type"` // of the body
	As     string `json:"as"`   // whom the administrator plays
	Body   string `json:"body"`
	Part   string `json:"part"` // of the body, that is repeated
	Repeat int    `json:"repeat"`
}

type wrong struct {
	call
	Name    string  `json:"name"`
	Ours    *answer `json:"ours"` // where it is not upstream's
	Because string  `json:"because"`
}

// An answer is a Status with what a person reads, or text.
type answer struct {
	Code    int                   `json:"code"`
	Reason  metav1.StatusReason   `json:"reason,omitempty"`
	Message string                `json:"message"`
	Details *metav1.StatusDetails `json:"details,omitempty"`
}

func TestBadRequestsAreRefusedAsUpstreamDoes(t *testing.T) {
	var all corpus
	read(t, "testdata/refusals.yaml", &all)
	want := map[string]answer{}
	if !*record {
		read(t, recorded, &want)
	}
	conf := judged(t)
	client, err := rest.HTTPClientFor(conf)
	if err != nil {
		t.Fatal(err)
	}
	prepare(t, client, conf.Host, all.There)
	got := map[string]answer{}
	for _, w := range all.Requests {
		t.Run(w.Name, func(t *testing.T) {
			a := w.send(t, client, conf.Host)
			if _, twice := got[w.Name]; twice || a.Code < 400 {
				t.Fatalf("got %d, or there are two requests of this name", a.Code)
			}
			got[w.Name] = a
			if *record {
				return
			}
			wanted, ok := want[w.Name]
			if !ok {
				t.Fatal("upstream has not been asked: make refusals")
			}
			if w.Ours != nil {
				if cmp.Equal(*w.Ours, wanted) || w.Because == "" {
					t.Error("this is no difference, or nobody says why there is one")
				}
				wanted = *w.Ours
			}
			if diff := cmp.Diff(wanted, a); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", w.Method, w.Path, diff)
			}
		})
	}
	if *record {
		data, err := yaml.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(recorded, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// judged is how to reach the server: ours, or the one whose answers are recorded.
func judged(t *testing.T) *rest.Config {
	t.Helper()
	kubeconfig := os.Getenv("KUBECONFIG")
	if !*record {
		p := newProcess(t)
		p.start()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		p.client(ctx)
		kubeconfig = filepath.Join(p.dir, "admin.kubeconfig")
	}
	conf, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// prepare makes what is there. The namespace's service account may have been made by the
// server, and some of what later objects need may take it a moment.
func prepare(t *testing.T, client *http.Client, host string, there []call) {
	t.Helper()
	there = append([]call{{Path: "/api/v1/namespaces", Body: `{"metadata":{"name":"refusals"}}`}}, there...)
	deadline := time.Now().Add(time.Minute)
	for _, c := range there {
		c.Method = http.MethodPost
		for {
			a := c.send(t, client, host)
			if a.Code == http.StatusCreated || a.Code == http.StatusConflict {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %+v", c.Path, a)
			}
			time.Sleep(20 * time.Millisecond) // before it is asked again
		}
	}
}

func (c call) send(t *testing.T, client *http.Client, host string) answer {
	t.Helper()
	path := c.Path
	if !strings.HasPrefix(path, "/") {
		path = "/api/v1/namespaces/refusals/" + path
	}
	if c.Part == "" {
		c.Part = "x"
	}
	body := strings.ReplaceAll(c.Body, "%s", strings.Repeat(c.Part, c.Repeat))
	r, err := http.NewRequestWithContext(t.Context(), c.Method, host+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User-Agent", "refusals")
	for name, value := range map[string]string{"Accept": c.Accept, "Content-Type": c.Type, "Impersonate-User": c.As} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered(resp.StatusCode, text)
}

// What is another one each time: revisions, uids, the ends of generated names, and
// objects as a whole and the differences of two, which have all that was filled in.
var passing = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`current: \d+`), "current: REVISION"},
	{regexp.MustCompile(`record \(\d+\)`), "record (REVISION)"},
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "UID"},
	{regexp.MustCompile(`_[bcdfghjklmnpqrstvwxz2456789]{5}\b`), "_RANDOM"},
	{regexp.MustCompile(`(?s)\n@@.*`), " …"},
	{regexp.MustCompile(`(?s)Invalid value: "\{.*\}"`), `Invalid value: "{…}"`},
}

func lasting(text string) string {
	for _, p := range passing {
		text = p.pattern.ReplaceAllString(text, p.instead)
	}
	return strings.TrimSpace(text)
}

func answered(code int, text []byte) answer {
	var s metav1.Status
	if err := json.Unmarshal(text, &s); err != nil || s.Kind != "Status" {
		return answer{Code: code, Message: lasting(string(text))}
	}
	if s.Details == nil || cmp.Equal(*s.Details, metav1.StatusDetails{}) { // an empty one says as much as none
		return answer{Code: code, Reason: s.Reason, Message: lasting(s.Message)}
	}
	s.Details.Name = lasting(s.Details.Name)
	for i := range s.Details.Causes {
		s.Details.Causes[i].Message = lasting(s.Details.Causes[i].Message)
	}
	return answer{Code: code, Reason: s.Reason, Message: lasting(s.Message), Details: s.Details}
}
