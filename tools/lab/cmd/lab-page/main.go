// Command lab-page shows Markdown in the terminal: `lab read` gives it the text. It is a
// program of its own because what renders it needs longer to start than all the rest of
// lab, and lab is started some sixty times by one verification.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"github.com/charmbracelet/glamour"
	"golang.org/x/term"
)

func main() {
	if err := page(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "lab-page: %v\n", err)
		os.Exit(1)
	}
}

// page renders Markdown, through the learner's pager when there is one and something to
// page.
func page(in io.Reader, w *os.File) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	width, style, tty := 100, "notty", term.IsTerminal(int(w.Fd()))
	if tty {
		if os.Getenv("NO_COLOR") == "" {
			style = "auto"
		}
		if cols, _, err := term.GetSize(int(w.Fd())); err == nil {
			width = min(cols, 110)
		}
	}
	out, err := render(string(text), style, width)
	if err != nil {
		return err
	}
	if less, err := exec.LookPath("less"); err == nil && tty {
		cmd := exec.Command(less, "-RFX")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(out), w, os.Stderr
		return cmd.Run()
	}
	_, err = io.WriteString(w, out)
	return err
}

// render breaks the lines of prose, and none of code: a command that is copied from the
// page must still be one.
func render(text, style string, width int) (string, error) {
	prose, err := glamour.NewTermRenderer(glamour.WithStandardStyle(style), glamour.WithWordWrap(width))
	if err != nil {
		return "", err
	}
	code, err := glamour.NewTermRenderer(glamour.WithStandardStyle(style), glamour.WithWordWrap(longest(text)+20))
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for part := range strings.SplitAfterSeq(fences(text), "\x00") {
		part = strings.TrimSuffix(part, "\x00")
		r := prose
		if strings.HasPrefix(part, "```") {
			r = code
			if strings.HasPrefix(part, "```go") {
				part = strings.ReplaceAll(part, "\t", "    ")
			}
		}
		rendered, err := r.Render(part)
		if err != nil {
			return "", err
		}
		if rendered = trim(rendered); rendered != "" {
			out.WriteString("\n" + rendered)
		}
	}
	return out.String() + "\n", nil
}

// fences puts a NUL before and after each fenced block.
func fences(text string) string {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		fence := strings.HasPrefix(line, "```")
		if fence && !inside {
			b.WriteByte(0)
		}
		b.WriteString(line)
		if fence && inside {
			b.WriteByte(0)
		}
		inside = inside != fence
	}
	return b.String()
}

func longest(text string) (n int) {
	for line := range strings.Lines(text) {
		n = max(n, len(line))
	}
	return n
}

var (
	colour  = regexp.MustCompile(`\x1b\[[0-9;]*m`)
	padding = regexp.MustCompile(`(\x1b\[[0-9;]*m| )+$`)
)

// trim takes away the blank lines around a block, and the spaces that fill its lines up to
// the width, which is that of the longest line of code.
func trim(block string) string {
	lines := strings.Split(block, "\n")
	for i, line := range lines {
		lines[i] = padding.ReplaceAllString(line, "")
		if colour.MatchString(lines[i]) {
			lines[i] += "\x1b[0m"
		}
	}
	text := strings.Trim(strings.Join(lines, "\n"), "\n")
	if text == "" {
		return ""
	}
	return text + "\n"
}
