// Package tool is what the toolbox's small programs have in common: options,
// output, and the exit code.
package tool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// A Main is one program. It gets its arguments without its own name.
type Main func(args []string) error

// Exit is an exit code without a message.
type Exit int

func (e Exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// Out is the standard output. Run flushes it; what runs for long does so itself.
var Out = bufio.NewWriterSize(os.Stdout, 32<<10)

// Run runs a program and returns its exit code.
func Run(name string, main Main, args []string) int {
	err := main(args)
	if flushed := Out.Flush(); err == nil {
		err = flushed
	}
	if code, ok := errors.AsType[Exit](err); ok {
		return int(code)
	}
	if err != nil {
		complain(name, err)
		return 1
	}
	return 0
}

// complain prints each line of an error behind the program's name.
func complain(name string, err error) {
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimPrefix(strings.TrimSuffix(line, "\n"), name+": ")
		fmt.Fprintf(os.Stderr, "%s: %s\n", name, Message(line))
	}
}

// Options are the single-letter options of a command line. A value that was
// not given is empty.
type Options map[byte]string

// Has says whether an option was given.
func (o Options) Has(letter byte) bool {
	_, ok := o[letter]
	return ok
}

// Parse reads options as getopt(3) does: letters may be joined, a colon in spec
// after a letter says that it takes a value, and -- ends them.
func Parse(args []string, spec string) (Options, []string, error) {
	options := Options{}
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		word := args[0]
		args = args[1:]
		if word == "--" {
			break
		}
		for i := 1; i < len(word); i++ {
			at := strings.IndexByte(spec, word[i])
			if at < 0 || word[i] == ':' {
				return nil, nil, fmt.Errorf("unknown option -%c in %q", word[i], word)
			}
			if at+1 == len(spec) || spec[at+1] != ':' {
				options[word[i]] = ""
				continue
			}
			value := word[i+1:]
			if value == "" {
				if len(args) == 0 {
					return nil, nil, fmt.Errorf("option -%c needs a value", word[i])
				}
				value, args = args[0], args[1:]
			}
			options[word[i]] = value
			break
		}
	}
	return options, args, nil
}

// EachInput calls f for every file, or for standard input when there is none or
// the name is a dash.
func EachInput(files []string, f func(name string, r io.Reader) error) error {
	if len(files) == 0 {
		files = []string{"-"}
	}
	var failed []error
	for _, name := range files {
		if err := withInput(name, f); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func withInput(name string, f func(string, io.Reader) error) error {
	if name == "-" {
		return f(name, os.Stdin)
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return f(name, file)
}

// Lines calls f for each line, without its end, until f says to stop.
func Lines(r io.Reader, f func(line string) (more bool)) error {
	b := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := b.ReadString('\n')
		if line != "" && !f(strings.TrimSuffix(line, "\n")) {
			return nil
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
