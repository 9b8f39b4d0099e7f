// Package apiagree sends the same requests to two API servers and tells where their
// answers differ: objects that are made of seeds by changing a few fields at random,
// created, updated, patched in each of the four ways and deleted with dryRun=All, so
// that nothing is kept, listed by selectors, and printed as kubectl prints them.
package apiagree

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/net/http2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/rows"
	scheduling "github.com/k8s-groundup/groundup/steps/03-scheduler/rows"
)

// A Config says what is compared.
type Config struct {
	Ours, Theirs *rest.Config
	Steps        string // folder of the steps, whose testdata has objects to begin with
	Cases        int
	Seed         uint64 // of chance
	Only         string // a resource, or all
}

// steps are those that add rows, with a folder that has a file of seeds for each row.
var steps = []struct {
	rows  func() []resource.Resource
	seeds string
}{
	{rows.All, "02-apiserver/rows/testdata"},
	{scheduling.All, "03-scheduler/rows/testdata"},
}

// A Class is differences of one kind.
type Class struct {
	Name         string // the resource, the verb, and where the answers are different
	Count        int
	Request      string
	Ours, Theirs string
}

type server struct {
	client *http.Client
	host   string
}

type answer struct {
	code     int // 0: none, but the end of the request
	body     []byte
	warnings []string
}

// A request is what both servers are asked.
type request struct {
	method, path string
	body         []byte
	media        string // of the body; JSON unless it says something else
	accept       string // of the answer; the same
}

func (s server) ask(ctx context.Context, q request) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, q.method, s.host+q.path, bytes.NewReader(q.body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", cmp.Or(q.media, "application/json"))
	r.Header.Set("Accept", cmp.Or(q.accept, "application/json"))
	resp, err := s.client.Do(r)
	var broken http2.StreamError
	if errors.As(err, &broken) && broken.Code == http2.ErrCodeInternal {
		return answer{body: []byte(err.Error())}, nil // it has panicked, and goes on
	}
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	warnings := resp.Header.Values("Warning")
	slices.Sort(warnings)
	return answer{resp.StatusCode, b, warnings}, err
}

// A comparison is under way.
type comparison struct {
	Config
	servers [2]server
	pool    *pool
	rows    []seeded
	listed  []seeded // those that can only be listed
	classes map[string]*Class
	meant   map[string]int
}

// lists is how often one is listed of what can only be listed.
const lists = 20

// seeded is a row with its seeds; there are those of which both servers have one.
type seeded struct {
	resource.Resource
	seeds []resource.Object
	there []resource.Object
}

func (r seeded) path() string {
	prefix := "/apis/" + r.GroupVersionKind.Group + "/" + r.GroupVersionKind.Version
	if r.GroupVersionKind.Group == "" {
		prefix = "/api/v1"
	}
	if r.Namespaced {
		prefix += "/namespaces/" + r.namespace()
	}
	return prefix + "/" + r.Name
}

// namespace: limits of what is there would be those of all others.
func (r seeded) namespace() string {
	if r.Name == "limitranges" || r.Name == "resourcequotas" {
		return "limits"
	}
	return "default"
}

// Run compares, and returns the classes of differences, the most frequent first. Of
// differences that are meant it returns how often there was which reason.
func Run(ctx context.Context, conf Config) (all []*Class, meant map[string]int, err error) {
	c, err := newComparison(conf)
	if err != nil {
		return nil, nil, err
	}
	if err := c.read(); err != nil {
		return nil, nil, err
	}
	if err := c.prepare(ctx); err != nil {
		return nil, nil, err
	}
	for _, r := range c.listed {
		for range lists {
			// Of what there is none of, nobody needs to know how it would be printed.
			q := request{method: http.MethodGet, path: r.path() + "?" + c.pool.selection()}
			if err := c.both(ctx, r, "list", q); err != nil {
				return nil, nil, err
			}
		}
	}
	for range c.Cases {
		if len(c.rows) == 0 {
			break
		}
		r := pick(c.pool.rand, c.rows)
		ask := c.create
		if len(r.there) > 0 {
			ask = pick(c.pool.rand, []func(context.Context, seeded) error{c.create, c.update, c.patch, c.patch, c.delete, c.list})
		}
		if err := ask(ctx, r); err != nil {
			return nil, nil, err
		}
	}
	for _, class := range c.classes {
		all = append(all, class)
	}
	slices.SortFunc(all, func(a, b *Class) int { return b.Count - a.Count })
	return all, c.meant, nil
}

func newComparison(conf Config) (*comparison, error) {
	c := &comparison{Config: conf, pool: newPool(rand.New(rand.NewPCG(conf.Seed, 0))), classes: map[string]*Class{}, meant: map[string]int{}}
	for i, config := range []*rest.Config{conf.Ours, conf.Theirs} {
		client, err := rest.HTTPClientFor(config)
		if err != nil {
			return nil, err
		}
		c.servers[i] = server{client, config.Host}
	}
	return c, nil
}

// read makes a row of each resource that has seeds, and of each that can only be listed.
func (c *comparison) read() error {
	for _, step := range steps {
		for _, r := range step.rows() {
			seeds, err := c.seeds(filepath.Join(c.Steps, step.seeds), r)
			if err != nil {
				return err
			}
			for _, obj := range seeds {
				c.pool.learn(reflect.ValueOf(obj), "")
			}
			switch s := (seeded{Resource: r, seeds: seeds}); {
			case c.Only != "" && c.Only != r.Name:
			case len(seeds) > 0:
				c.rows = append(c.rows, s)
			case !s.may("create") && s.may("list"):
				c.listed = append(c.listed, s)
			}
		}
	}
	if len(c.rows)+len(c.listed) == 0 {
		return fmt.Errorf("no seeds of %q in %s", c.Only, c.Steps)
	}
	return nil
}

func (r seeded) may(verb string) bool { return !slices.Contains(r.Without, verb) }

// seeds reads a resource's, if there are any.
func (c *comparison) seeds(folder string, r resource.Resource) (seeds []resource.Object, err error) {
	file := filepath.Join(folder, r.Name+".yaml")
	if r.GroupVersionKind.Group == "events.k8s.io" {
		file = filepath.Join(folder, "events.events.k8s.io.yaml")
	}
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var examples []struct {
		Object json.RawMessage `json:"object"`
	}
	if err := yaml.Unmarshal(data, &examples); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, e := range examples {
		obj := r.New()
		if err := json.Unmarshal(e.Object, obj); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if obj.GetNamespace() == "default" {
			obj.SetNamespace(seeded{Resource: r}.namespace())
		}
		seeds = append(seeds, obj)
	}
	return seeds, nil
}

// prepare makes of each seed that both servers take an object that is there, to be updated.
func (c *comparison) prepare(ctx context.Context) error {
	for _, s := range c.servers {
		for path, body := range map[string]string{
			"/api/v1/namespaces/default/serviceaccounts": `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}`,
			"/api/v1/namespaces":                         `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"limits"}}`,
			"/api/v1/namespaces/default/configmaps":      `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"kube-root-ca.crt"}}`, // ours publishes it itself
		} {
			if _, err := s.ask(ctx, request{method: http.MethodPost, path: path, body: []byte(body)}); err != nil {
				return err
			}
		}
	}
	for i := range c.rows {
		r := &c.rows[i]
		for n, seed := range r.seeds {
			obj := seed.DeepCopyObject().(resource.Object)
			if r.Name != "runtimeclasses" {
				obj.SetName(fmt.Sprintf("seed-%d", n))
			}
			nothingDrawn(obj, n)
			body, err := json.Marshal(obj)
			if err != nil {
				return err
			}
			var by []server // who took it
			for _, s := range c.servers {
				a, err := s.ask(ctx, request{method: http.MethodPost, path: r.path(), body: body})
				if err != nil {
					return err
				}
				if a.code == http.StatusCreated {
					by = append(by, s)
				}
			}
			if len(by) == len(c.servers) {
				r.there = append(r.there, obj)
				by = nil
			}
			if r.Name == "nodes" {
				if err := c.untaint(ctx, r.path()+"/"+obj.GetName()); err != nil {
					return err
				}
			}
			for _, s := range by {
				if _, err := s.ask(ctx, request{method: http.MethodDelete, path: r.path() + "/" + obj.GetName() + "?gracePeriodSeconds=0"}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// untaint takes from a node what upstream gives to a new one, until a controller takes it
// back that there is none of.
func (c *comparison) untaint(ctx context.Context, path string) error {
	for _, s := range c.servers {
		if _, err := s.ask(ctx, request{method: http.MethodPatch, path: path, media: string(types.MergePatchType), body: []byte(`{"spec":{"taints":null}}`)}); err != nil {
			return err
		}
	}
	return nil
}

// nothingDrawn lets a server draw nothing that an update would have to name.
func nothingDrawn(obj resource.Object, n int) {
	switch o := obj.(type) {
	case *corev1.Pod:
		o.Spec.AutomountServiceAccountToken = new(bool)
	case *corev1.Service:
		if o.Spec.Type != corev1.ServiceTypeExternalName && o.Spec.ClusterIP == "" {
			o.Spec.ClusterIP = fmt.Sprintf("10.96.200.%d", n+1)
		}
	}
}

// both sends a request to both servers, and keeps what is different.
func (c *comparison) both(ctx context.Context, r seeded, verb string, q request) error {
	if strings.Contains(q.path, "?") {
		q.path += "&dryRun=All"
	} else {
		q.path += "?dryRun=All"
	}
	var answers [2]answer
	var err error
	for i, s := range c.servers {
		if answers[i], err = s.ask(ctx, q); err != nil {
			return fmt.Errorf("ask %s: %w", []string{"ours", "theirs"}[i], err)
		}
	}
	where := differences(answers[0], answers[1])
	if len(where) == 0 {
		return nil
	}
	if why := explanation(r.Name, where); why != "" {
		c.meant[why]++
		return nil
	}
	name := r.Name + " " + verb + "\n    " + strings.Join(where, "\n    ")
	class := c.classes[name]
	if class == nil {
		class = &Class{Name: name}
		c.classes[name] = class
	}
	class.Count++
	if class.Count == 1 || len(q.body) < len(class.Request) {
		class.Request, class.Ours, class.Theirs = q.method+" "+q.path+" "+string(q.body), string(answers[0].body), string(answers[1].body)
	}
	return nil
}
