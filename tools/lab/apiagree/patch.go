package apiagree

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// A patch is one way to make of an object the next.
type patch struct {
	name, media, query string
	body               []byte
}

// patch makes of the difference of two objects a patch of one of the four kinds.
func (p *pool) patch(r seeded, base, next resource.Object) (patch, error) {
	from, err := json.Marshal(base)
	if err != nil {
		return patch{}, err
	}
	to, err := json.Marshal(next)
	if err != nil {
		return patch{}, err
	}
	switch p.rand.IntN(4) {
	case 0:
		body, err := jsonpatch.CreateMergePatch(from, to)
		return patch{name: "merge patch", media: string(types.MergePatchType), body: body}, err
	case 1:
		body, err := strategicpatch.CreateTwoWayMergePatch(from, to, r.New())
		if err != nil { // a list has something without its key
			body, err = jsonpatch.CreateMergePatch(from, to)
		}
		return patch{name: "strategic merge patch", media: string(types.StrategicMergePatchType), body: body}, err
	case 2:
		body, err := p.operations(from)
		return patch{name: "JSON patch", media: string(types.JSONPatchType), body: body}, err
	}
	body, err := p.applied(r, to)
	return patch{name: "apply", media: string(types.ApplyPatchType), query: pick(p.rand, []string{"?fieldManager=agree", "?fieldManager=agree&force=true"}), body: body}, err
}

// operations are one to three of a JSON patch, of places and values that are there.
func (p *pool) operations(object []byte) ([]byte, error) {
	var root any
	if err := json.Unmarshal(object, &root); err != nil {
		return nil, err
	}
	var paths []string
	values := map[string]any{}
	places("", root, func(path string, value any) { paths, values[path] = append(paths, path), value })
	var ops []map[string]any
	for range 1 + p.rand.IntN(3) {
		path := pick(p.rand, paths)
		op := map[string]any{"op": pick(p.rand, []string{"add", "remove", "replace", "move", "copy", "test"}), "path": path}
		if p.rand.IntN(4) == 0 {
			op["path"] = path + pick(p.rand, []string{"/-", "/0", "/new", "/1"})
		}
		switch op["op"] {
		case "move", "copy":
			if op["from"] = pick(p.rand, paths); op["from"] == "/metadata" { // in which is a version
				op["from"] = "/metadata/name"
			}
		case "add", "replace", "test":
			op["value"] = values[pick(p.rand, paths)]
			if p.rand.IntN(2) == 0 {
				op["value"] = values[path]
			}
		}
		ops = append(ops, op)
	}
	return json.Marshal(ops)
}

// places visits all that is in a value, in order, by its JSON pointer.
func places(path string, v any, visit func(path string, value any)) {
	if path != "" {
		visit(path, v)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			places(path+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(k), v[k], visit)
		}
	case []any:
		for i := range v {
			places(fmt.Sprint(path, "/", i), v[i], visit)
		}
	}
}

// applied is what somebody wants of an object: some of its fields, without the status.
func (p *pool) applied(r seeded, object []byte) ([]byte, error) {
	var o map[string]any
	if err := json.Unmarshal(object, &o); err != nil {
		return nil, err
	}
	delete(o, "status")
	for _, k := range slices.Sorted(maps.Keys(o)) {
		inside, ok := o[k].(map[string]any)
		for _, f := range slices.Sorted(maps.Keys(inside)) {
			if ok && f != "name" && f != "namespace" && p.rand.IntN(2) == 0 {
				delete(inside, f)
			}
		}
		if k != "metadata" && p.rand.IntN(6) == 0 {
			delete(o, k)
		}
	}
	o["apiVersion"], o["kind"] = r.GroupVersionKind.GroupVersion().String(), r.Kind
	return json.Marshal(o)
}
