// Command lab-page shows Markdown in the terminal: `lab read` gives it the text. It is a
// program of its own because what renders it needs longer to start than all the rest of
// lab, and lab is started some sixty times by one verification.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"

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
		style = "auto"
		if cols, _, err := term.GetSize(int(w.Fd())); err == nil {
			width = min(cols, 110)
		}
	}
	r, err := glamour.NewTermRenderer(glamour.WithStandardStyle(style), glamour.WithWordWrap(width))
	if err != nil {
		return err
	}
	out, err := r.RenderBytes(text)
	if err != nil {
		return err
	}
	if less, err := exec.LookPath("less"); err == nil && tty {
		cmd := exec.Command(less, "-RFX")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(out), w, os.Stderr
		return cmd.Run()
	}
	_, err = w.Write(out)
	return err
}
