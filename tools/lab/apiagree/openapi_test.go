package apiagree

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestDocumentsThatDiffer(t *testing.T) {
	var ours, theirs document
	for text, d := range map[string]*document{
		`{"definitions": {
			"same": {"description": "in our words", "required": ["a", "b"], "properties": {"a": {"type": "string"}}},
			"must": {"required": ["a"]},
			"field": {"properties": {"a": {"type": "integer", "format": "int32"}, "extra": {"type": "string"}}},
			"list": {"properties": {"l": {"type": "array", "items": {"$ref": "#/definitions/x"}, "x-kubernetes-list-type": "atomic"}}},
			"ours": {}},
		  "paths": {"/a": {"parameters": [], "get": {"operationId": "readA", "x-kubernetes-action": "get"}, "put": {"operationId": "replaceA"}}}}`: &ours,
		`{"definitions": {
			"same": {"description": "in theirs", "required": ["b", "a"], "properties": {"a": {"type": "string", "x-kubernetes-map-type": "granular"}}},
			"must": {"required": ["a", "b"]},
			"field": {"properties": {"a": {"type": "integer", "format": "int64"}}},
			"list": {"properties": {"l": {"type": "array", "items": {"$ref": "#/definitions/x"}, "x-kubernetes-list-type": "set"}}},
			"theirs": {}},
		  "paths": {"/a": {"get": {"operationId": "listA", "x-kubernetes-action": "get"}}, "/b": {}}}`: &theirs,
	} {
		if err := json.Unmarshal([]byte(text), d); err != nil {
			t.Fatal(err)
		}
	}
	var where []string
	for _, line := range disagreements(ours, theirs) {
		place, _, _ := strings.Cut(line, ": ours ")
		where = append(where, place)
	}
	slices.Sort(where)
	if want := []string{"/a get", "/a put", "field.a", "field.extra", "list.l", "must required"}; !slices.Equal(where, want) {
		t.Errorf("got %q, want %q", where, want)
	}
}
