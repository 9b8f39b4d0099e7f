package apiagree

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

// A document is what is compared of /openapi/v2: what a client is generated from, and
// how two writers' changes are merged. Words are one's own.
type document struct {
	Definitions map[string]model
	Paths       map[string]map[string]json.RawMessage
}

type model struct {
	Required   []string
	Properties map[string]property
	MapType    string `json:"x-kubernetes-map-type"`
}

type property struct {
	Type, Format  string
	Ref           string    `json:"$ref"`
	Items         *property `json:"items"`
	Values        *property `json:"additionalProperties"`
	MapType       string    `json:"x-kubernetes-map-type"`
	ListType      string    `json:"x-kubernetes-list-type"`
	ListKeys      []string  `json:"x-kubernetes-list-map-keys"`
	PatchStrategy string    `json:"x-kubernetes-patch-strategy"`
	PatchMergeKey string    `json:"x-kubernetes-patch-merge-key"`
}

type operation struct {
	ID     string `json:"operationId"`
	Action string `json:"x-kubernetes-action"`
}

// Documents tells where the OpenAPI documents of two servers say different things about
// what both of them describe, the models and the operations of ours, and how many models
// that are. It is an error if there are none: then nothing is compared.
func Documents(ctx context.Context, ours, theirs *rest.Config) (lines []string, models int, err error) {
	a, err := read(ctx, ours)
	if err != nil {
		return nil, 0, fmt.Errorf("read our OpenAPI document: %w", err)
	}
	b, err := read(ctx, theirs)
	if err != nil {
		return nil, 0, fmt.Errorf("read their OpenAPI document: %w", err)
	}
	for name := range a.Definitions {
		if _, shared := b.Definitions[name]; shared {
			models++
		}
	}
	if models == 0 || len(a.Paths) == 0 {
		return nil, 0, fmt.Errorf("the OpenAPI documents have %d models in common, and ours %d paths: nothing is compared", models, len(a.Paths))
	}
	return disagreements(a, b), models, nil
}

func read(ctx context.Context, config *rest.Config) (d document, err error) {
	c, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return d, err
	}
	body, err := c.RESTClient().Get().AbsPath("/openapi/v2").SetHeader("Accept", "application/json").DoRaw(ctx)
	if err != nil {
		return d, err
	}
	return d, json.Unmarshal(body, &d)
}

func disagreements(ours, theirs document) (lines []string) {
	differ := func(where string, a, b any) {
		x, _ := json.Marshal(a) // of strings, or of what has been decoded
		y, _ := json.Marshal(b)
		if string(x) != string(y) {
			lines = append(lines, fmt.Sprintf("%s: ours %s, theirs %s", where, x, y))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ours.Definitions)) {
		a := ours.Definitions[name]
		b, shared := theirs.Definitions[name]
		if !shared {
			continue
		}
		differ(name+" required", slices.Sorted(slices.Values(a.Required)), slices.Sorted(slices.Values(b.Required)))
		differ(name+" map type", granular(a.MapType), granular(b.MapType))
		for field, p := range both(a.Properties, b.Properties) {
			differ(name+"."+field, p[0].normal(), p[1].normal())
		}
	}
	for _, path := range slices.Sorted(maps.Keys(ours.Paths)) {
		for method, raw := range ours.Paths[path] {
			if method == "parameters" || theirs.Paths[path] == nil {
				continue
			}
			var a, b operation
			if err := json.Unmarshal(raw, &a); err != nil {
				lines = append(lines, fmt.Sprintf("%s %s: %v", path, method, err))
			}
			if other := theirs.Paths[path][method]; other != nil {
				if err := json.Unmarshal(other, &b); err != nil {
					lines = append(lines, fmt.Sprintf("%s %s: %v", path, method, err))
				}
			}
			differ(path+" "+method, a, b)
		}
	}
	return lines
}

// both yields the fields of either, with what each says of it.
func both(a, b map[string]property) map[string][2]property {
	all := map[string][2]property{}
	for name := range a {
		all[name] = [2]property{a[name], b[name]}
	}
	for name := range b {
		all[name] = [2]property{a[name], b[name]}
	}
	return all
}

// granular is what a map is that says nothing else.
func granular(mapType string) string {
	if mapType == "granular" {
		return ""
	}
	return mapType
}

func (p property) normal() property {
	p.MapType = granular(p.MapType)
	return p
}
