// Package shell is the toolbox's sh: the interpreter of mvdan.cc/sh with a
// command line, line editing, and traps for signals.
//
// Subshells and background jobs are goroutines of one process, so $! is no
// process id. What a shell script needs to be exact about belongs into a
// program.
package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/term"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// Main is sh [-c COMMAND | FILE] [ARGUMENT…]. Without a command or a file it
// reads standard input, with line editing when that is a terminal.
func Main(args []string) error {
	s, err := parseArgs(args)
	if err != nil {
		return err
	}
	switch {
	case s.command != nil:
		return s.runScript(strings.NewReader(*s.command), "sh")
	case s.file != "":
		f, err := os.Open(s.file)
		if err != nil {
			return err
		}
		defer f.Close()
		return s.runScript(f, s.file)
	case term.IsTerminal(int(os.Stdin.Fd())):
		return s.interact(&terminal{})
	case s.interactive:
		return s.interact(plainLines(os.Stdin))
	}
	return s.runStatements(os.Stdin)
}

type shell struct {
	command     *string
	file        string
	interactive bool
	params      []string // of set: options, --, and the positional parameters
	traps       *traps
	runner      *interp.Runner
}

func parseArgs(args []string) (*shell, error) {
	s := &shell{traps: newTraps()}
	wantCommand := false
	for len(args) > 0 && len(args[0]) > 1 && strings.ContainsRune("-+", rune(args[0][0])) {
		word := args[0]
		args = args[1:]
		if word == "--" {
			break
		}
		for _, letter := range word[1:] {
			switch letter {
			case 'c':
				wantCommand = true
			case 'i':
				s.interactive = true
			case 'l', 's': // a login shell, reading standard input: nothing to do
			default:
				s.params = append(s.params, word[:1]+string(letter))
			}
		}
	}
	s.params = append(s.params, "--")
	switch {
	case wantCommand && len(args) == 0:
		return nil, errors.New("-c needs a command")
	case wantCommand:
		s.command = &args[0]
		args = args[min(2, len(args)):] // $0 has no place in the interpreter
	case len(args) > 0:
		s.file, args = args[0], args[1:]
	}
	s.params = append(s.params, args...)
	return s, s.start()
}

func (s *shell) start() (err error) {
	s.runner, err = interp.New(
		interp.StdIO(os.Stdin, os.Stdout, os.Stderr),
		interp.Params(s.params...),
		interp.CallHandler(s.traps.call),
		interp.OpenHandler(open),
		interp.ExecHandlers(explain),
	)
	return err
}

// open opens what a command is redirected to. The interpreter prints its error.
func open(ctx context.Context, path string, flag int, mode os.FileMode) (io.ReadWriteCloser, error) {
	f, err := interp.DefaultOpenHandler()(ctx, path, flag, mode)
	if failed, ok := err.(*os.PathError); ok {
		if errno, ok := failed.Err.(syscall.Errno); ok {
			return nil, &os.PathError{Op: "sh:", Path: path, Err: errors.New(tool.Strerror(errno))}
		}
	}
	return f, err
}

// explain says in a shell's words, and with its exit codes, why a program can't
// be run.
func explain(next interp.ExecHandlerFunc) interp.ExecHandlerFunc {
	return func(ctx context.Context, args []string) error {
		h := interp.HandlerCtx(ctx)
		if _, err := interp.LookPathDir(h.Dir, h.Env, args[0]); err == nil {
			return next(ctx, args)
		}
		code, why := 127, "not found"
		if isFile(h, args[0]) {
			code, why = 126, tool.Strerror(syscall.EACCES)
		}
		fmt.Fprintf(h.Stderr, "%s: %s: %s\n", os.Args[0], args[0], why)
		return interp.ExitStatus(code)
	}
}

// isFile reports whether the name leads to a file, executable or not.
func isFile(h interp.HandlerContext, name string) bool {
	dirs := filepath.SplitList(h.Env.Get("PATH").String())
	if strings.Contains(name, "/") {
		dirs = []string{h.Dir}
		if filepath.IsAbs(name) {
			dirs = []string{"/"}
		}
	}
	return slices.ContainsFunc(dirs, func(dir string) bool {
		info, err := os.Stat(filepath.Join(dir, name))
		return err == nil && !info.IsDir()
	})
}

// runScript parses the whole program first, as far as a shell can.
func (s *shell) runScript(r io.Reader, name string) error {
	program, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(r, name)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sh:", err)
		return tool.Exit(2)
	}
	return exitCode(s.run(program))
}

// runStatements runs each line when it is complete, for a program that comes
// through a pipe, maybe from somebody who waits for answers.
func (s *shell) runStatements(r io.Reader) error {
	var last error
	parser := syntax.NewParser(syntax.Variant(syntax.LangBash))
	for statements, err := range parser.InteractiveSeq(r) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "sh:", err)
			return tool.Exit(2)
		}
		if parser.Incomplete() {
			continue
		}
		for _, statement := range statements {
			if last = s.run(statement); s.runner.Exited() {
				return exitCode(last)
			}
		}
	}
	return exitCode(last)
}

// run runs one piece until it ends or a trapped signal comes; then the trap's
// action decides how the shell ends.
func (s *shell) run(node syntax.Node) error {
	ctx, cancel := s.traps.context()
	defer cancel()
	err := s.runner.Run(ctx, node)
	action, signalled := s.traps.pending()
	if !signalled {
		return err
	}
	program, parseErr := syntax.NewParser().Parse(strings.NewReader(action), "trap")
	if parseErr != nil {
		return parseErr
	}
	if err := s.runner.Run(context.Background(), program); err != nil {
		os.Exit(codeOf(err))
	}
	os.Exit(0)
	return nil
}

func exitCode(err error) error {
	if err == nil {
		return nil
	}
	return tool.Exit(codeOf(err))
}

func codeOf(err error) int {
	var status interp.ExitStatus
	if errors.As(err, &status) {
		return int(status)
	}
	fmt.Fprintln(os.Stderr, "sh:", err)
	return 1
}

// Builtin makes a program of a command that the interpreter has built in, such
// as test or printf.
func Builtin(name string) tool.Main {
	return func(args []string) error {
		s := &shell{traps: newTraps(), params: append([]string{"--", name}, args...)}
		if err := s.start(); err != nil {
			return err
		}
		return s.runScript(strings.NewReader(`"$@"`), name)
	}
}
