// Package guide renders the guides of the labs in a terminal, and keeps what
// they quote true.
//
// A guide is Markdown. Two kinds of fenced blocks are not written by hand:
//
//	```go source=steps/01-kubelet/kubelet/actions.go#Decide
//
// holds the declaration of that name, copied from the compiled source, and
//
//	```output
//
// holds what the ```sh block before it printed. [Guide.Quote] and [Guide.Record]
// fill them in; in tests the same functions say whether they have changed.
package guide

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A Guide is a Markdown text in parts: prose and fenced blocks by turns.
type Guide struct {
	parts []part
}

// A part is prose (fence empty) or a fenced block.
type part struct {
	fence string // the opening line, such as "```go source=…"
	body  string // without the fences
	line  int    // of the opening line, from 1
}

// Parse takes a guide apart. Joining the parts again gives the same text.
func Parse(text string) (Guide, error) {
	var g Guide
	var cur part
	line := 0
	for l := range strings.Lines(text) {
		line++
		switch {
		case cur.fence == "" && strings.HasPrefix(l, "```"):
			g.parts = append(g.parts, cur)
			cur = part{fence: strings.TrimRight(l, "\n"), line: line}
		case cur.fence != "" && strings.TrimRight(l, "\n") == "```":
			g.parts = append(g.parts, cur)
			cur = part{line: line + 1}
		default:
			cur.body += l
		}
	}
	if cur.fence != "" {
		return g, fmt.Errorf("line %d: %s is never closed", cur.line, cur.fence)
	}
	g.parts = append(g.parts, cur)
	return g, nil
}

func (g Guide) String() string {
	var b strings.Builder
	for _, p := range g.parts {
		if p.fence != "" {
			b.WriteString(p.fence + "\n" + p.body + "```\n")
		} else {
			b.WriteString(p.body)
		}
	}
	return b.String()
}

// language is the first word after the fence.
func (p part) language() string {
	lang, _, _ := strings.Cut(strings.TrimLeft(p.fence, "`"), " ")
	return lang
}

var sourceRef = regexp.MustCompile(`\bsource=([^#\s]+)#(\S+)`)

// Quote fills every source block from the repository's files and returns how
// many there are. It fails where a symbol is gone: the text speaks of something
// that no longer exists.
func (g *Guide) Quote(repo string) (blocks int, err error) {
	for i, p := range g.parts {
		m := sourceRef.FindStringSubmatch(p.fence)
		if m == nil {
			continue
		}
		blocks++
		if g.parts[i].body, err = Declaration(filepath.Join(repo, m[1]), m[2]); err != nil {
			return blocks, fmt.Errorf("line %d: %w", p.line, err)
		}
	}
	return blocks, nil
}

// Declaration returns the source text of a declaration with its doc comment:
// "Name" for a function, type, variable or constant, "Type.Name" for a method.
func Declaration(file, name string) (string, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, src, parser.ParseComments)
	if err != nil {
		return "", err
	}
	for _, d := range f.Decls {
		if !declares(d, name) {
			continue
		}
		start := d.Pos()
		if doc := docOf(d); doc != nil {
			start = doc.Pos()
		}
		return string(src[fset.Position(start).Offset:fset.Position(d.End()).Offset]) + "\n", nil
	}
	return "", fmt.Errorf("%s declares no %s", file, name)
}

func docOf(d ast.Decl) *ast.CommentGroup {
	switch d := d.(type) {
	case *ast.FuncDecl:
		return d.Doc
	case *ast.GenDecl:
		return d.Doc
	}
	return nil
}

func declares(d ast.Decl, name string) bool {
	switch d := d.(type) {
	case *ast.FuncDecl:
		full := d.Name.Name
		if d.Recv != nil {
			t := d.Recv.List[0].Type
			if star, ok := t.(*ast.StarExpr); ok {
				t = star.X
			}
			if id, ok := t.(*ast.Ident); ok {
				full = id.Name + "." + full
			}
		}
		return full == name
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.Name == name {
					return true
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.Name == name {
						return true
					}
				}
			}
		}
	}
	return false
}
