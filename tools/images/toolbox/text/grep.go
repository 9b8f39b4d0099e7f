package text

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// Grep is grep [-EFivnclqwxrohs] [-e PATTERN] PATTERN [FILE…]. The exit code is
// 0 when a line was found, and 1 when none was.
func Grep(args []string) error {
	o, rest, err := tool.Parse(args, "EFGivnclqwxrRohHse:m:")
	if err != nil {
		return tool.Exit(2)
	}
	pattern, given := o['e']
	if !given {
		if len(rest) == 0 {
			return fmt.Errorf("want a pattern")
		}
		pattern, rest = rest[0], rest[1:]
	}
	g := &grep{Options: o}
	if g.pattern, err = compilePattern(o, pattern); err != nil {
		return err
	}
	recursive := o.Has('r') || o.Has('R')
	if recursive {
		rest = walk(rest)
	}
	g.showName = (len(rest) > 1 || recursive || o.Has('H')) && !o.Has('h')
	err = tool.EachInput(rest, g.file)
	if err != nil && !o.Has('s') {
		return err
	}
	if !g.found {
		return tool.Exit(1)
	}
	return nil
}

type grep struct {
	tool.Options
	pattern  *regexp.Regexp
	showName bool
	found    bool
}

func compilePattern(o tool.Options, pattern string) (*regexp.Regexp, error) {
	switch {
	case o.Has('F'):
		pattern = regexp.QuoteMeta(pattern)
	case !o.Has('E'):
		pattern = fromBasic(pattern)
	}
	if o.Has('w') {
		pattern = `\b(?:` + pattern + `)\b`
	}
	if o.Has('x') {
		pattern = `^(?:` + pattern + `)$`
	}
	if o.Has('i') {
		pattern = `(?i)` + pattern
	}
	return regexp.Compile(pattern)
}

// fromBasic swaps what is special with a backslash in a basic regular
// expression and without one in an extended one.
func fromBasic(pattern string) string {
	const swapped = `+?|(){}`
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '\\' && i+1 < len(pattern):
			i++
			if !strings.ContainsRune(swapped, rune(pattern[i])) {
				b.WriteByte('\\')
			}
			b.WriteByte(pattern[i])
		case strings.ContainsRune(swapped, rune(c)):
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func walk(roots []string) (files []string) {
	if len(roots) == 0 {
		roots = []string{"."}
	}
	for _, root := range roots {
		_ = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				files = append(files, p)
			}
			return nil // what can't be read is passed over
		})
	}
	return files
}

func (g *grep) file(name string, r io.Reader) error {
	n, at := 0, 0
	err := tool.Lines(r, func(line string) bool {
		at++
		if g.pattern.MatchString(line) == g.Has('v') {
			return true
		}
		n++
		g.found = true
		if !g.Has('q') && !g.Has('c') && !g.Has('l') {
			g.print(name, at, line)
		}
		return !g.Has('q') && !g.Has('l')
	})
	switch {
	case g.Has('l') && n > 0:
		fmt.Fprintln(tool.Out, name)
	case g.Has('c') && g.showName:
		fmt.Fprintf(tool.Out, "%s:%d\n", name, n)
	case g.Has('c'):
		fmt.Fprintln(tool.Out, n)
	}
	return err
}

func (g *grep) print(name string, at int, line string) {
	prefix := ""
	if g.showName {
		prefix = name + ":"
	}
	if g.Has('n') {
		prefix += fmt.Sprint(at, ":")
	}
	if !g.Has('o') {
		fmt.Fprintln(tool.Out, prefix+line)
		return
	}
	for _, match := range g.pattern.FindAllString(line, -1) {
		fmt.Fprintln(tool.Out, prefix+match)
	}
}
