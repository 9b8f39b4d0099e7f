// Package apiagree sends the same requests to two API servers and tells where their
// answers differ: objects that are made of seeds by changing a few fields at random,
// created and updated with dryRun=All, so that nothing is kept.
package apiagree

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/rows"
)

// A Config says what is compared.
type Config struct {
	Ours, Theirs *rest.Config
	Seeds        string // folder of testdata with a file for each resource
	Cases        int
	Seed         uint64 // of chance
	Only         string // a resource, or all
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
	code     int
	body     []byte
	warnings []string
}

func (s server) ask(ctx context.Context, method, path string, body []byte) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.host+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(r)
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
	classes map[string]*Class
	meant   map[string]int
}

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
	c := &comparison{Config: conf, pool: newPool(rand.New(rand.NewPCG(conf.Seed, 0))), classes: map[string]*Class{}, meant: map[string]int{}}
	for i, config := range []*rest.Config{conf.Ours, conf.Theirs} {
		client, err := rest.HTTPClientFor(config)
		if err != nil {
			return nil, nil, err
		}
		c.servers[i] = server{client, config.Host}
	}
	if err := c.read(); err != nil {
		return nil, nil, err
	}
	if err := c.prepare(ctx); err != nil {
		return nil, nil, err
	}
	for range c.Cases {
		r := pick(c.pool.rand, c.rows)
		if len(r.there) > 0 && c.pool.rand.IntN(2) == 0 {
			if err := c.update(ctx, r); err != nil {
				return nil, nil, err
			}
			continue
		}
		obj := c.mutant(pick(c.pool.rand, r.seeds))
		obj.SetResourceVersion("") // upstream looks at it when it stores, and here nothing is stored
		if err := c.both(ctx, r, "create", http.MethodPost, r.path(), obj); err != nil {
			return nil, nil, err
		}
	}
	for _, class := range c.classes {
		all = append(all, class)
	}
	slices.SortFunc(all, func(a, b *Class) int { return b.Count - a.Count })
	return all, c.meant, nil
}

func (c *comparison) read() error {
	for _, r := range rows.All() {
		file := filepath.Join(c.Seeds, r.Name+".yaml")
		if r.GroupVersionKind.Group == "events.k8s.io" {
			file = filepath.Join(c.Seeds, "events.events.k8s.io.yaml")
		}
		data, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue
		} else if err != nil {
			return err
		}
		var examples []struct {
			Object json.RawMessage `json:"object"`
		}
		if err := yaml.Unmarshal(data, &examples); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		s := seeded{Resource: r}
		for _, e := range examples {
			obj := r.New()
			if err := json.Unmarshal(e.Object, obj); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			if obj.GetNamespace() == "default" {
				obj.SetNamespace(s.namespace())
			}
			s.seeds = append(s.seeds, obj)
			c.pool.learn(reflect.ValueOf(obj), "")
		}
		if c.Only == "" || c.Only == r.Name {
			c.rows = append(c.rows, s)
		}
	}
	if len(c.rows) == 0 {
		return fmt.Errorf("no seeds of %q in %s", c.Only, c.Seeds)
	}
	return nil
}

// prepare makes of each seed that both servers take an object that is there, to be updated.
func (c *comparison) prepare(ctx context.Context) error {
	for _, s := range c.servers {
		for path, body := range map[string]string{
			"/api/v1/namespaces/default/serviceaccounts": `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}`,
			"/api/v1/namespaces":                         `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"limits"}}`,
		} {
			if _, err := s.ask(ctx, http.MethodPost, path, []byte(body)); err != nil {
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
				a, err := s.ask(ctx, http.MethodPost, r.path(), body)
				if err != nil {
					return err
				}
				if a.code == http.StatusCreated {
					by = append(by, s)
				}
			}
			if len(by) == len(c.servers) {
				r.there = append(r.there, obj)
				continue
			}
			for _, s := range by {
				if _, err := s.ask(ctx, http.MethodDelete, r.path()+"/"+obj.GetName()+"?gracePeriodSeconds=0", nil); err != nil {
					return err
				}
			}
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

// mutant changes one to three things in a copy.
func (c *comparison) mutant(obj resource.Object) resource.Object {
	out := obj.DeepCopyObject().(resource.Object)
	for range 1 + c.pool.rand.IntN(3) {
		c.pool.change(reflect.ValueOf(out).Elem(), "")
	}
	return out
}

func (c *comparison) update(ctx context.Context, r seeded) error {
	there := pick(c.pool.rand, r.there)
	path := r.path() + "/" + there.GetName()
	a, err := c.servers[0].ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	obj := r.New()
	if err := json.Unmarshal(a.body, obj); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	obj.SetUID("")
	obj.SetResourceVersion("")
	obj.SetCreationTimestamp(metav1.Time{})
	obj.SetManagedFields(nil)
	obj = c.mutant(obj)
	obj.SetName(there.GetName())
	return c.both(ctx, r, "update", http.MethodPut, path, obj)
}

// both sends an object to both servers, and keeps what is different.
func (c *comparison) both(ctx context.Context, r seeded, verb, method, path string, obj resource.Object) error {
	body, err := json.Marshal(obj)
	if err != nil {
		return err
	}
	var answers [2]answer
	for i, s := range c.servers {
		if answers[i], err = s.ask(ctx, method, path+"?dryRun=All", body); err != nil {
			return err
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
	if class.Count == 1 || len(body) < len(class.Request) {
		class.Request, class.Ours, class.Theirs = string(body), string(answers[0].body), string(answers[1].body)
	}
	return nil
}
