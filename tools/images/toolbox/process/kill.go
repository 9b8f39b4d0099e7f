package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
	"golang.org/x/sys/unix"
)

// Pgrep is pgrep [-f] [-x] [-l] PATTERN, Pkill the same with a signal.
func Pgrep(args []string) error {
	o, rest, err := tool.Parse(args, "fxl")
	if err != nil {
		return err
	}
	found, err := matching(o, rest)
	if err != nil {
		return err
	}
	for _, p := range found {
		if o.Has('l') {
			fmt.Fprintln(tool.Out, p.pid, p.comm)
			continue
		}
		fmt.Fprintln(tool.Out, p.pid)
	}
	if len(found) == 0 {
		return tool.Exit(1)
	}
	return nil
}

// Pkill is pkill [-SIGNAL] [-f] [-x] PATTERN.
func Pkill(args []string) error {
	signal, args, err := signalOption(args)
	if err != nil {
		return err
	}
	o, rest, err := tool.Parse(args, "fx")
	if err != nil {
		return err
	}
	found, err := matching(o, rest)
	if err != nil {
		return err
	}
	for _, p := range found {
		if err := syscall.Kill(p.pid, signal); err != nil {
			return fmt.Errorf("%d: %w", p.pid, err)
		}
	}
	if len(found) == 0 {
		return tool.Exit(1)
	}
	return nil
}

// name is what a process goes by: every tool here is the same file, and its
// first argument tells them apart.
func (p proc) name() string {
	if len(p.args) > 0 {
		return filepath.Base(p.args[0])
	}
	return p.comm
}

// matching finds processes by a regular expression. It leaves out the process
// that asks, and no other.
func matching(o tool.Options, patterns []string) ([]proc, error) {
	if len(patterns) != 1 {
		return nil, errors.New("want one pattern")
	}
	pattern := patterns[0]
	if o.Has('x') {
		pattern = "^(?:" + pattern + ")$"
	}
	want, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	var found []proc
	for _, p := range list() {
		text := p.name()
		if o.Has('f') {
			text = p.command()
		}
		if want.MatchString(text) && p.pid != os.Getpid() {
			found = append(found, p)
		}
	}
	return found, nil
}

// Pidof is pidof NAME….
func Pidof(names []string) error {
	var pids []string
	for _, p := range list() {
		if slices.Contains(names, p.name()) || slices.Contains(names, p.comm) && p.pid != os.Getpid() {
			pids = append(pids, strconv.Itoa(p.pid))
		}
	}
	if len(pids) == 0 {
		return tool.Exit(1)
	}
	fmt.Fprintln(tool.Out, strings.Join(pids, " "))
	return nil
}

// Kill is kill [-SIGNAL | -s SIGNAL] PID…, and kill -l.
func Kill(args []string) error {
	if len(args) == 1 && args[0] == "-l" {
		for s := syscall.Signal(1); s <= 31; s++ {
			fmt.Fprintf(tool.Out, "%d %s\n", s, unix.SignalName(s))
		}
		return nil
	}
	signal, pids, err := signalOption(args)
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		return errors.New("want a process id")
	}
	for _, word := range pids {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return fmt.Errorf("%q is no process id", word)
		}
		if err := syscall.Kill(pid, signal); err != nil {
			return fmt.Errorf("%d: %w", pid, err)
		}
	}
	return nil
}

// signalOption takes -9, -TERM, -SIGTERM or -s TERM from the front.
func signalOption(args []string) (syscall.Signal, []string, error) {
	if len(args) == 0 || len(args[0]) < 2 || args[0][0] != '-' || args[0] == "--" {
		return syscall.SIGTERM, args, nil
	}
	word, rest := args[0][1:], args[1:]
	if word == "s" && len(rest) > 0 {
		word, rest = rest[0], rest[1:]
	}
	signal, err := parseSignal(word)
	return signal, rest, err
}

func parseSignal(word string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(word); err == nil {
		return syscall.Signal(n), nil
	}
	if s := unix.SignalNum("SIG" + strings.TrimPrefix(word, "SIG")); s != 0 {
		return s, nil
	}
	return 0, fmt.Errorf("unknown signal %q", word)
}
