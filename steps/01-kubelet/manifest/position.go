package manifest

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A position knows on which line each field of a document stands.
type position struct {
	lines map[string]int    // by path, "" being the document
	kinds map[string]string // of a field's value, as JSON errors call it
	twice *[]string         // paths of fields that are there more than once
	base  string            // put before the paths that are asked for
}

// positions reads the lines of a document's fields. The result is good for the
// document as a whole even when there is an error.
func positions(d document) (position, error) {
	p := position{lines: map[string]int{"": d.line}, kinds: map[string]string{}, twice: &[]string{}}
	in := yaml.NewDecoder(bytes.NewReader(d.text))
	var root yaml.Node
	if err := in.Decode(&root); err != nil && !errors.Is(err, io.EOF) {
		line, message := lineOf(err)
		p.lines[""] = d.line + line - 1
		return p, errors.New(message)
	}
	var more yaml.Node
	if err := in.Decode(&more); err != io.EOF {
		return p, errors.New("something follows the object: between two documents there is a line of three dashes")
	}
	if len(root.Content) > 0 {
		p.lines[""] = d.line + root.Content[0].Line - 1
		p.add(root.Content[0], "", d.line-1, 0)
	}
	return p, nil
}

// maxDepth bounds how deep a document is followed: no pod is deeper, and an
// alias may make a document that has no end.
const maxDepth = 32

func (p position) add(n *yaml.Node, path string, offset, depth int) {
	if depth > maxDepth {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			child := strings.TrimPrefix(path+"."+key.Value, ".")
			if _, before := p.lines[child]; before {
				*p.twice = append(*p.twice, child)
			}
			p.lines[child], p.kinds[child] = offset+key.Line, kindOf(n.Content[i+1])
			p.add(n.Content[i+1], child, offset, depth+1)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			child := path + "[" + strconv.Itoa(i) + "]"
			p.lines[child], p.kinds[child] = offset+item.Line, kindOf(item)
			p.add(item, child, offset, depth+1)
		}
	}
}

// below returns the positions of a part of the document.
func (p position) below(path string) position {
	return position{p.lines, p.kinds, p.twice, strings.TrimPrefix(p.base+"."+path, ".")}
}

// full is a field's path from the beginning of the document.
func (p position) full(path string) string {
	return strings.Trim(p.base+"."+path, ".")
}

// line returns the line of a field, or of the nearest one around it that is there.
func (p position) line(path string) int {
	for path = p.full(path); ; {
		if line, ok := p.lines[path]; ok {
			return line
		}
		path = strings.TrimSuffix(path[:max(0, strings.LastIndexAny(path, ".["))], ".")
	}
}

// exact completes a path without indices, as some JSON errors have it: it is that
// of the first such field with a value of the kind that the error is about.
func (p position) exact(path, kind string) string {
	base := strings.TrimPrefix(p.base+".", ".")
	var found []string
	for full := range p.lines {
		if rest, ok := strings.CutPrefix(full, base); ok && index.ReplaceAllString(rest, "") == path && p.kinds[full] == kind {
			found = append(found, rest)
		}
	}
	slices.SortFunc(found, func(a, b string) int {
		return cmp.Or(p.lines[base+a]-p.lines[base+b], len(a)-len(b), strings.Compare(a, b))
	})
	for i, f := range found { // a list is not what is wrong when one of its items is
		if i+1 == len(found) || !strings.HasPrefix(found[i+1], f+"[") {
			return f
		}
	}
	return path
}

// kindOf is the kind of a value in encoding/json's words.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.AliasNode:
		return kindOf(n.Alias)
	case yaml.MappingNode:
		return "object"
	case yaml.SequenceNode:
		return "array"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "number"
	case "!!bool":
		return "bool"
	}
	return "string"
}

var index = regexp.MustCompile(`\[\d+\]`)
