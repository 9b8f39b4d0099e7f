package shell

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"
	"mvdan.cc/sh/v3/syntax"
)

// A lineReader prompts for a line and reads it, with its newline.
type lineReader interface {
	readLine(prompt string) (string, error)
}

// interact reads, runs and prompts until the input ends or the shell is told to
// exit. Ctrl-C stops the command that runs, and not the shell.
func (s *shell) interact(in lineReader) error {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT) // children get it all the same
	var last error
	input := ""
	for {
		prompt := s.prompt()
		if input != "" {
			prompt = "> "
		}
		line, err := in.readLine(prompt)
		if errors.Is(err, io.EOF) {
			return exitCode(last)
		}
		if err != nil {
			return err
		}
		input += line
		program, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(input), "")
		if syntax.IsIncomplete(err) {
			continue
		}
		input = ""
		if err != nil {
			fmt.Fprintln(os.Stderr, "sh:", err)
			continue
		}
		for _, statement := range program.Stmts {
			if last = s.run(statement); s.runner.Exited() {
				return exitCode(last)
			}
		}
	}
}

func (s *shell) prompt() string {
	sign := "$"
	if os.Geteuid() == 0 {
		sign = "#"
	}
	return s.runner.Dir + " " + sign + " "
}

// plainLines is for sh -i without a terminal.
func plainLines(r io.Reader) lineReader { return &lines{bufio.NewReader(r)} }

type lines struct{ r *bufio.Reader }

func (l *lines) readLine(prompt string) (string, error) {
	fmt.Fprint(os.Stderr, prompt)
	line, err := l.r.ReadString('\n')
	if line != "" {
		return line, nil
	}
	return line, err
}

// A terminal edits lines and remembers them. It is raw only while it reads:
// commands get it as it was.
type terminal struct{ t *term.Terminal }

func (t *terminal) readLine(prompt string) (string, error) {
	fd := int(os.Stdin.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(fd, before) }() // the terminal may be gone
	if t.t == nil {
		t.t = term.NewTerminal(struct {
			io.Reader
			io.Writer
		}{os.Stdin, os.Stdout}, "")
	}
	if width, height, err := term.GetSize(fd); err == nil && width > 0 {
		_ = t.t.SetSize(width, height)
	}
	t.t.SetPrompt(prompt)
	line, err := t.t.ReadLine()
	return line + "\n", err
}
