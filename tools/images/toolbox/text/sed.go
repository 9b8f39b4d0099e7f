package text

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// Sed is sed [-nEi] [-e SCRIPT | SCRIPT] [FILE…] with the commands s, p, d and
// q, and with addresses: a line number, $, /regexp/, and ranges of them.
func Sed(args []string) error {
	o, rest, err := tool.Parse(args, "nErie:")
	if err != nil {
		return err
	}
	script, given := o['e']
	if !given {
		if len(rest) == 0 {
			return fmt.Errorf("want a script")
		}
		script, rest = rest[0], rest[1:]
	}
	commands, err := parseSed(script, o.Has('E') || o.Has('r'))
	if err != nil {
		return err
	}
	s := &sed{commands: commands, quiet: o.Has('n')}
	if !o.Has('i') {
		return tool.EachInput(rest, func(_ string, r io.Reader) error { return s.run(r, tool.Out) })
	}
	for _, file := range rest {
		if err := s.inPlace(file); err != nil {
			return err
		}
	}
	return nil
}

type sed struct {
	commands []*sedCommand
	quiet    bool
}

type sedCommand struct {
	from, to *sedAddress
	inRange  bool
	verb     byte

	// of s
	pattern *regexp.Regexp
	with    string
	global  bool
	print   bool
}

type sedAddress struct {
	line    int // 0 when it is another kind
	last    bool
	pattern *regexp.Regexp
}

func (a *sedAddress) matches(line string, n int, last bool) bool {
	switch {
	case a.last:
		return last
	case a.pattern != nil:
		return a.pattern.MatchString(line)
	}
	return a.line == n
}

func (c *sedCommand) applies(line string, n int, last bool) bool {
	switch {
	case c.from == nil:
		return true
	case c.to == nil:
		return c.from.matches(line, n, last)
	case c.inRange:
		c.inRange = !c.to.matches(line, n, last)
		return true
	}
	c.inRange = c.from.matches(line, n, last)
	return c.inRange
}

func (s *sed) inPlace(file string) error {
	before, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var after bytes.Buffer
	if err := s.run(bytes.NewReader(before), &after); err != nil {
		return err
	}
	return os.WriteFile(file, after.Bytes(), 0o644)
}

func (s *sed) run(r io.Reader, w io.Writer) error {
	var lines []string
	if err := tool.Lines(r, func(line string) bool { lines = append(lines, line); return true }); err != nil {
		return err
	}
	for i, line := range lines {
		line, keep, quit := s.edit(line, i+1, i+1 == len(lines), w)
		if keep && !s.quiet {
			fmt.Fprintln(w, line)
		}
		if quit {
			return nil
		}
	}
	return nil
}

func (s *sed) edit(line string, n int, last bool, w io.Writer) (after string, keep, quit bool) {
	for _, c := range s.commands {
		if !c.applies(line, n, last) {
			continue
		}
		switch c.verb {
		case 'd':
			return line, false, false
		case 'q':
			return line, true, true
		case 'p':
			fmt.Fprintln(w, line)
		case 's':
			if changed, ok := c.substitute(line); ok {
				line = changed
				if c.print {
					fmt.Fprintln(w, line)
				}
			}
		}
	}
	return line, true, false
}

func (c *sedCommand) substitute(line string) (string, bool) {
	limit := 1
	if c.global {
		limit = -1
	}
	matches := c.pattern.FindAllStringSubmatchIndex(line, limit)
	if matches == nil {
		return line, false
	}
	var out []byte
	at := 0
	for _, m := range matches {
		out = append(out, line[at:m[0]]...)
		out = c.pattern.ExpandString(out, c.with, line, m)
		at = m[1]
	}
	return string(append(out, line[at:]...)), true
}

func parseSed(script string, extended bool) ([]*sedCommand, error) {
	p := &sedParser{rest: script, extended: extended}
	var commands []*sedCommand
	for {
		p.rest = strings.TrimLeft(p.rest, " \t\n;")
		if p.rest == "" {
			return commands, nil
		}
		c, err := p.command()
		if err != nil {
			return nil, fmt.Errorf("script %q: %w", script, err)
		}
		commands = append(commands, c)
	}
}

type sedParser struct {
	rest     string
	extended bool
}

func (p *sedParser) command() (c *sedCommand, err error) {
	c = &sedCommand{}
	if c.from, err = p.address(); err != nil {
		return nil, err
	}
	if strings.HasPrefix(p.rest, ",") {
		p.rest = p.rest[1:]
		if c.to, err = p.address(); err != nil {
			return nil, err
		}
	}
	p.rest = strings.TrimLeft(p.rest, " ")
	if p.rest == "" {
		return nil, fmt.Errorf("an address without a command")
	}
	c.verb, p.rest = p.rest[0], p.rest[1:]
	switch c.verb {
	case 'p', 'd', 'q':
		return c, nil
	case 's':
		return c, p.substitution(c)
	}
	return nil, fmt.Errorf("command %q is not supported: s, p, d and q are", c.verb)
}

func (p *sedParser) address() (*sedAddress, error) {
	digits := len(p.rest) - len(strings.TrimLeft(p.rest, "0123456789"))
	switch {
	case digits > 0:
		n, err := strconv.Atoi(p.rest[:digits])
		p.rest = p.rest[digits:]
		return &sedAddress{line: n}, err
	case strings.HasPrefix(p.rest, "$"):
		p.rest = p.rest[1:]
		return &sedAddress{last: true}, nil
	case strings.HasPrefix(p.rest, "/"):
		p.rest = p.rest[1:]
		text, err := p.until('/')
		if err != nil {
			return nil, err
		}
		pattern, err := p.compile(text)
		return &sedAddress{pattern: pattern}, err
	}
	return nil, nil
}

func (p *sedParser) substitution(c *sedCommand) error {
	if p.rest == "" {
		return fmt.Errorf("s needs a pattern")
	}
	delimiter := p.rest[0]
	p.rest = p.rest[1:]
	pattern, err := p.until(delimiter)
	if err != nil {
		return err
	}
	with, err := p.until(delimiter)
	if err != nil {
		return err
	}
	c.with = replacement(with)
	for ; p.rest != "" && strings.ContainsRune("gpiI", rune(p.rest[0])); p.rest = p.rest[1:] {
		switch p.rest[0] {
		case 'g':
			c.global = true
		case 'p':
			c.print = true
		default:
			pattern = "(?i)" + pattern
		}
	}
	c.pattern, err = p.compile(pattern)
	return err
}

// until takes the text before the delimiter; a backslash makes one part of it.
func (p *sedParser) until(delimiter byte) (string, error) {
	var b strings.Builder
	for i := 0; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == delimiter:
			p.rest = p.rest[i+1:]
			return b.String(), nil
		case c == '\\' && i+1 < len(p.rest):
			i++
			if p.rest[i] != delimiter {
				b.WriteByte('\\')
			}
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", fmt.Errorf("%q is missing", delimiter)
}

func (p *sedParser) compile(pattern string) (*regexp.Regexp, error) {
	if !p.extended {
		flags := ""
		if strings.HasPrefix(pattern, "(?i)") {
			flags, pattern = pattern[:4], pattern[4:]
		}
		pattern = flags + fromBasic(pattern)
	}
	return regexp.Compile(pattern)
}

// replacement turns \1 and & into what regexp.Expand understands.
func replacement(with string) string {
	var b strings.Builder
	for i := 0; i < len(with); i++ {
		c := with[i]
		switch {
		case c == '$':
			b.WriteString("$$")
		case c == '&':
			b.WriteString("${0}")
		case c == '\\' && i+1 < len(with):
			i++
			switch n := with[i]; {
			case n >= '0' && n <= '9':
				fmt.Fprintf(&b, "${%c}", n)
			case n == 'n':
				b.WriteByte('\n')
			case n == 't':
				b.WriteByte('\t')
			default:
				b.WriteByte(n)
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
