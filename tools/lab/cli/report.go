package cli

import (
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/lipgloss"
	"golang.org/x/term"
)

var (
	green = lipgloss.NewStyle().Foreground(lipgloss.Color("2"))
	red   = lipgloss.NewStyle().Foreground(lipgloss.Color("1"))
	faint = lipgloss.NewStyle().Faint(true)
	bold  = lipgloss.NewStyle().Bold(true)
)

// A reporter prints a line for each part of some work: as it begins on a
// terminal, and how long it took.
type reporter struct {
	w    io.Writer
	live bool
}

func newReporter(w io.Writer) *reporter {
	f, ok := w.(*os.File)
	return &reporter{w: w, live: ok && term.IsTerminal(int(f.Fd()))}
}

func (r *reporter) begin(what string) func(error) {
	start := time.Now()
	r.announce(what)
	return func(err error) {
		mark := green.Render("✓")
		if err != nil {
			mark = red.Render("✗")
		}
		r.clear()
		fmt.Fprintf(r.w, "  %s %-56s %s\n", mark, what, faint.Render(short(time.Since(start))))
	}
}

// announce says on a terminal what is at work, until clear.
func (r *reporter) announce(what string) {
	if !r.live {
		return
	}
	columns, _, err := term.GetSize(int(r.w.(*os.File).Fd()))
	if err != nil || columns == 0 { // it does not know
		columns = 80
	}
	const mark = "  … "
	fmt.Fprintf(r.w, "  %s %s", faint.Render("…"), cut(what, columns-utf8.RuneCountInString(mark)-1))
}

// clear takes away what was announced: one line, so that must not have been longer.
func (r *reporter) clear() {
	if r.live {
		fmt.Fprint(r.w, "\r\x1b[K")
	}
}

// cut is at most the first n characters of a text.
func cut(text string, n int) string {
	if runes := []rune(text); len(runes) > n {
		return string(runes[:max(n, 0)])
	}
	return text
}

func (r *reporter) do(what string, work func() error) error {
	done := r.begin(what)
	err := work()
	done(err)
	return err
}

// short is a duration as a person would say it.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
