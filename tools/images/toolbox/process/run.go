package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// Sleep is sleep DURATION….
func Sleep(args []string) error {
	if len(args) == 0 {
		return errors.New("want a duration")
	}
	for _, word := range args {
		d, err := duration(word)
		if err != nil {
			return err
		}
		time.Sleep(d)
	}
	return nil
}

// Timeout is timeout [-s SIGNAL] [-k DURATION] DURATION COMMAND…. The exit code
// is 124 when the time was up.
func Timeout(args []string) error {
	// The command has options of its own: take ours one by one.
	signal, err := syscall.SIGTERM, error(nil)
	kill := time.Duration(0)
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-s":
			signal, err = parseSignal(args[1])
		case "-k":
			kill, err = duration(args[1])
		default:
			err = fmt.Errorf("unknown option %s", args[0])
		}
		if err != nil {
			return err
		}
		args = args[2:]
	}
	if len(args) < 2 {
		return errors.New("want a duration and a command")
	}
	limit, err := duration(args[0])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c := command(ctx, args[1:])
	c.Cancel = func() error { return c.Process.Signal(signal) }
	c.WaitDelay = kill
	err = c.Run()
	if ctx.Err() != nil {
		return tool.Exit(124)
	}
	return exitOf(err)
}

func command(ctx context.Context, args []string) *exec.Cmd {
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	return c
}

func exitOf(err error) error {
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		if status := failed.Sys().(syscall.WaitStatus); status.Signaled() {
			return tool.Exit(128 + int(status.Signal()))
		}
		return tool.Exit(failed.ExitCode())
	}
	return err
}

// Time is time COMMAND….
func Time(args []string) error {
	if len(args) == 0 {
		return errors.New("want a command")
	}
	start := time.Now()
	c := command(context.Background(), args)
	err := c.Run()
	if c.ProcessState != nil {
		fmt.Fprintf(os.Stderr, "real\t%.3fs\nuser\t%.3fs\nsys\t%.3fs\n",
			time.Since(start).Seconds(), c.ProcessState.UserTime().Seconds(), c.ProcessState.SystemTime().Seconds())
	}
	return exitOf(err)
}

// Env is env [-i] [NAME=VALUE…] [COMMAND…].
func Env(args []string) error {
	env := os.Environ()
	if len(args) > 0 && (args[0] == "-i" || args[0] == "-") {
		env, args = nil, args[1:]
	}
	for len(args) > 0 && strings.Contains(args[0], "=") {
		env, args = append(env, args[0]), args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(tool.Out, strings.Join(env, "\n"))
		return nil
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "env:", err)
		return tool.Exit(127)
	}
	return syscall.Exec(path, args, env)
}

// duration reads seconds, a number with s, m, h or d, or "infinity".
func duration(word string) (time.Duration, error) {
	unit := time.Second
	switch number := word; {
	case word == "infinity" || word == "inf":
		return 1<<63 - 1, nil
	case strings.HasSuffix(number, "s"):
		word = strings.TrimSuffix(word, "s")
	case strings.HasSuffix(number, "m"):
		word, unit = strings.TrimSuffix(word, "m"), time.Minute
	case strings.HasSuffix(number, "h"):
		word, unit = strings.TrimSuffix(word, "h"), time.Hour
	case strings.HasSuffix(number, "d"):
		word, unit = strings.TrimSuffix(word, "d"), 24*time.Hour
	}
	n, err := strconv.ParseFloat(word, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no duration", word)
	}
	return time.Duration(n * float64(unit)), nil
}
