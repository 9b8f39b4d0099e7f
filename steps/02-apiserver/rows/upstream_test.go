package rows_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/rows"
)

// A verdict is an object that a client sends, and what Kubernetes itself made of
// it: the object that it would store, its line in a table, its errors and
// warnings. The files of testdata were written by upstream's strategies.
type verdict struct {
	Name        string          `json:"name"`
	Subresource string          `json:"subresource"`
	Old         json.RawMessage `json:"old"` // the object before, on an update
	Object      json.RawMessage `json:"object"`
	Becomes     map[string]any  `json:"becomes"`
	Line        []string        `json:"line"`
	Errors      []string        `json:"errors"`
	Warnings    []string        `json:"warnings"`
}

func TestRowsDoWhatUpstreamDoes(t *testing.T) {
	all := rows.All()
	for i := range all {
		r := &all[i]
		list := verdicts(t, r.GroupResource().String())
		if list == nil {
			list = verdicts(t, r.Name)
		}
		if list == nil && r.Prefix != "" {
			t.Errorf("%s: nobody has judged it", r.GroupResource())
		}
		for _, v := range list {
			t.Run(strings.Join([]string{r.GroupResource().String(), v.Subresource, v.Name}, "/"), func(t *testing.T) { v.check(t, r) })
		}
	}
}

// verdicts reads those about a resource, if there are any.
func verdicts(t testing.TB, name string) (list []verdict) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func (v verdict) check(t *testing.T, r *resource.Resource) {
	obj, old := decoded(t, r, v.Object), decoded(t, r, v.Old)
	s := strategy(r, v.Subresource)
	found := apply(s, obj, old)

	same(t, "errors", errors(found), shapeless(v.Errors))
	var warnings []string
	if s.Warnings != nil && len(found) == 0 {
		warnings = s.Warnings(obj, old)
	}
	if len(found) == 0 { // who is refused is not warned as well
		same(t, "warnings", warnings, v.Warnings)
	}
	if diff := cmp.Diff(timeless(v.Becomes), timeless(asMap(t, obj))); diff != "" {
		t.Errorf("the object differs (-want +got):\n%s", diff)
	}
	if r.Cells != nil {
		same(t, "line", line(r.Cells(obj)), v.Line)
	}
}

func strategy(r *resource.Resource, subresource string) *resource.Strategy {
	for _, s := range r.Subresources {
		if s.Name == subresource && subresource != "" {
			return s.Update
		}
	}
	return &r.Strategy
}

// apply does what the server does with an object, except for what it does with all kinds.
func apply(s *resource.Strategy, obj, old resource.Object) field.ErrorList {
	ctx := context.Background()
	if old == nil {
		if s.PrepareForCreate != nil {
			s.PrepareForCreate(ctx, obj)
		}
		return s.Validate(obj)
	}
	if s.PrepareForUpdate != nil {
		s.PrepareForUpdate(ctx, obj, old)
	}
	return s.ValidateUpdate(obj, old)
}

func decoded(t *testing.T, r *resource.Resource, data json.RawMessage) resource.Object {
	t.Helper()
	if len(data) == 0 {
		return nil
	}
	obj := r.New()
	if err := json.Unmarshal(data, obj); err != nil {
		t.Fatal(err)
	}
	if r.Default != nil {
		r.Default(obj)
	}
	return obj
}

func errors(list field.ErrorList) (texts []string) {
	for _, e := range list {
		texts = append(texts, e.Error())
	}
	return shapeless(texts)
}

// A message that quotes a struct quotes ours with the names of JSON, and
// upstream's with those of its internal types.
var structs = regexp.MustCompile(`value: [\[{].*[\]}]`)

func shapeless(texts []string) (out []string) {
	for _, s := range texts {
		out = append(out, structs.ReplaceAllString(s, "value: {…}"))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

var age = regexp.MustCompile(`\d+y(\d+d)?|\d{3,}d`)

// line is what is printed, with ages that do not depend on the day of the test.
func line(cells []any) (out []string) {
	for _, c := range cells {
		out = append(out, age.ReplaceAllString(fmt.Sprint(c), "AGE"))
	}
	return out
}

// timeless leaves out the time of a change, and what the server counts for all kinds.
func timeless(obj map[string]any) map[string]any {
	if metadata, ok := obj["metadata"].(map[string]any); ok {
		delete(metadata, "generation")
	}
	status, _ := obj["status"].(map[string]any)
	conditions, _ := status["conditions"].([]any)
	for _, c := range conditions {
		delete(c.(map[string]any), "lastTransitionTime")
	}
	return obj
}

func asMap(t *testing.T, obj any) (m map[string]any) {
	t.Helper()
	data, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if len(got)+len(want) > 0 && !slices.Equal(got, want) {
		t.Errorf("%s differ (-want +got):\n%s", what, cmp.Diff(want, got))
	}
}
