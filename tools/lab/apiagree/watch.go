package apiagree

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// watched is the namespace in which objects are changed for those who watch.
const watched = "watched"

// Those who watch, each by a selector that the changes below let objects come into and
// fall out of, and in one of the ways in which objects are shown.
var watches = func() (all []watch) {
	for _, accept := range []string{"application/json", printed, "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"} {
		for _, labels := range []string{"", "app=a", "app!=a", "app notin (a,b)", "!app"} {
			for _, fields := range []string{"", "spec.nodeName=", "spec.nodeName!=", "status.phase=Running", "metadata.name=seed-1"} {
				all = append(all, watch{labels, fields, accept})
			}
		}
	}
	return all
}()

type watch struct{ labels, fields, accept string }

func (w watch) String() string {
	return fmt.Sprintf("pods by labels %q and fields %q as %s", w.labels, w.fields, w.accept)
}

// stuck is how long an event may take; it is for hangs.
const stuck = 30 * time.Second

// Watch changes pods of both servers in the same random ways, this many times, and
// returns what those who watch them were told differently, and how much they were told.
func Watch(ctx context.Context, conf Config) (differences []string, events int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := newComparison(conf)
	if err != nil {
		return nil, 0, err
	}
	var streams [2][]*stream
	for i, s := range c.servers {
		if err := s.makeNamespace(ctx, watched); err != nil {
			return nil, 0, err
		}
		for _, w := range watches {
			st, err := s.watch(ctx, w)
			if err != nil {
				return nil, 0, fmt.Errorf("watch %s: %w", w, err)
			}
			streams[i] = append(streams[i], st)
		}
	}
	if differences, err = c.disturb(ctx); err != nil {
		return nil, 0, err
	}
	for i, w := range watches {
		var told [2][]string
		for side := range told {
			if told[side], err = streams[side][i].until(marker); err != nil {
				return nil, 0, fmt.Errorf("watch %s: %w", w, err)
			}
		}
		events += len(told[0])
		if n := apartAt(told[0], told[1]); n >= 0 {
			differences = append(differences, fmt.Sprintf("%s, event %d:\n  ours   %s\n  theirs %s", w, n, at(told[0], n), at(told[1], n)))
		}
	}
	return differences, events, nil
}

func apartAt(a, b []string) int {
	for n := range max(len(a), len(b)) {
		if at(a, n) != at(b, n) {
			return n
		}
	}
	return -1
}

func at(events []string, n int) string {
	if n < len(events) {
		return events[n]
	}
	return "nothing"
}

func (s server) makeNamespace(ctx context.Context, name string) error {
	for _, made := range []struct{ path, body string }{
		{"/api/v1/namespaces", `{"metadata":{"name":"` + name + `"}}`},
		{"/api/v1/namespaces/" + name + "/serviceaccounts", `{"metadata":{"name":"default"}}`},
	} {
		a, err := s.ask(ctx, request{method: http.MethodPost, path: made.path, body: []byte(made.body)})
		if err != nil {
			return err
		}
		if a.code != http.StatusCreated && a.code != http.StatusConflict { // ours makes the account itself
			return fmt.Errorf("POST %s: %s", made.path, a.body)
		}
	}
	return nil
}

// marker is in the last events that are compared: the pod that has it comes by all who
// watch.
const marker = `"example.com/end":"1"`

// disturb makes, changes and deletes pods, and returns which answers were different.
func (c *comparison) disturb(ctx context.Context) (differences []string, err error) {
	pods := "/api/v1/namespaces/" + watched + "/pods"
	labels := []string{`null`, `{"app":null}`, `{"app":"a"}`, `{"app":"b"}`, `{"app":"c","x":"y"}`}
	versions := [2]map[string]string{{}, {}}
	do := func(q request) error {
		var did [2]string
		for i, s := range c.servers {
			a, err := s.ask(ctx, q)
			if err != nil {
				return err
			}
			var obj metav1.PartialObjectMetadata
			_ = json.Unmarshal(a.body, &obj) // a Status has no version
			did[i] = fmt.Sprint(a.code)
			if versions[i][obj.Name] != obj.ResourceVersion && obj.DeletionTimestamp == nil { // one that goes has its last version, upstream
				did[i] += " and a new version"
			}
			versions[i][obj.Name] = obj.ResourceVersion
		}
		if did[0] != did[1] {
			differences = append(differences, fmt.Sprintf("%s %s %s: %s, not %s", q.method, q.path, q.body, did[0], did[1]))
		}
		return nil
	}
	patch := func(path, body string) request {
		return request{method: http.MethodPatch, path: path, body: []byte(body), media: string(types.MergePatchType)}
	}
	for range c.Cases {
		name := fmt.Sprint("seed-", c.pool.rand.IntN(4))
		path := pods + "/" + name
		var q request
		switch c.pool.rand.IntN(8) {
		case 0, 1:
			q = request{method: http.MethodPost, path: pods, body: []byte(podOf(name, pick(c.pool.rand, labels[1:]), pick(c.pool.rand, []string{"", "n"})))}
		case 2:
			q = request{method: http.MethodPost, path: path + "/binding", body: []byte(`{"apiVersion":"v1","kind":"Binding","metadata":{"name":"` + name + `"},"target":{"kind":"Node","name":"m"}}`)}
		case 3:
			q = patch(path+"/status", `{"status":{"phase":"`+pick(c.pool.rand, []string{"Running", "Pending", "Failed"})+`"}}`)
		case 4:
			q = request{method: http.MethodDelete, path: path + "?gracePeriodSeconds=" + pick(c.pool.rand, []string{"0", "5"})}
		case 5:
			q = patch(path, `{"metadata":{"finalizers":`+pick(c.pool.rand, []string{"null", `["example.com/f"]`})+`}}`)
		default:
			q = patch(path, `{"metadata":{"labels":`+pick(c.pool.rand, labels)+`}}`)
		}
		if err := do(q); err != nil {
			return nil, err
		}
	}
	const end = "seed-1" // which some watch alone
	path := pods + "/" + end
	for _, q := range []request{
		patch(path, `{"metadata":{"finalizers":null}}`),
		{method: http.MethodDelete, path: path + "?gracePeriodSeconds=0"},
		{method: http.MethodPost, path: pods, body: []byte(podOf(end, `{}`, ""))},
		patch(path, `{"metadata":{"annotations":{`+marker+`}}}`),
		patch(path+"/status", `{"status":{"phase":"Running"}}`),
		patch(path, `{"metadata":{"labels":{"app":"a"}}}`),
		{method: http.MethodPost, path: path + "/binding", body: []byte(`{"apiVersion":"v1","kind":"Binding","metadata":{"name":"` + end + `"},"target":{"kind":"Node","name":"m"}}`)},
		patch(path, `{"metadata":{"labels":null}}`),
	} {
		if err := do(q); err != nil {
			return nil, err
		}
	}
	return differences, nil
}

func podOf(name, labels, node string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"labels":%s},"spec":{"nodeName":%q,"automountServiceAccountToken":false,"containers":[{"name":"c","image":"i:1"}]}}`,
		name, strings.ReplaceAll(labels, `"app":null`, ""), node) // null is for patches
}

// A stream is what somebody who watches is told.
type stream struct {
	body  io.ReadCloser
	lines *bufio.Reader
}

func (s server) watch(ctx context.Context, w watch) (*stream, error) {
	q := url.Values{"watch": {"1"}, "labelSelector": {w.labels}, "fieldSelector": {w.fields}, "timeoutSeconds": {"600"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.host+"/api/v1/namespaces/"+watched+"/pods?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", w.accept)
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(errors.New(resp.Status), resp.Body.Close())
	}
	return &stream{resp.Body, bufio.NewReader(resp.Body)}, nil
}

// until reads events until one says something, and returns what they say, without what no two
// servers have in common.
func (s *stream) until(mark string) (events []string, err error) {
	defer s.body.Close()
	defer time.AfterFunc(stuck, func() { s.body.Close() }).Stop()
	for {
		line, err := s.lines.ReadBytes('\n')
		if err != nil {
			return nil, fmt.Errorf("after %d events: %w", len(events), err)
		}
		var e struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, err
		}
		v := withoutManagers(normal(e.Object))
		if table, ok := v.(map[string]any); ok && len(events) > 0 {
			delete(table, "columnDefinitions") // upstream repeats them now and then
		}
		object, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		events = append(events, e.Type+" "+string(object))
		if strings.Contains(string(line), mark) {
			return events, nil
		}
	}
}

// withoutManagers leaves out who owns which field: those of one second are in any order.
func withoutManagers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "managedFields")
		for k := range v {
			withoutManagers(v[k])
		}
	case []any:
		for i := range v {
			withoutManagers(v[i])
		}
	}
	return v
}
