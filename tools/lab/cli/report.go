package cli

import (
	"fmt"
	"io"
	"os"
	"time"

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
	if r.live {
		fmt.Fprintf(r.w, "  %s %s", faint.Render("…"), what)
	}
	return func(err error) {
		mark := green.Render("✓")
		if err != nil {
			mark = red.Render("✗")
		}
		if r.live {
			fmt.Fprint(r.w, "\r\x1b[K")
		}
		fmt.Fprintf(r.w, "  %s %-56s %s\n", mark, what, faint.Render(short(time.Since(start))))
	}
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
