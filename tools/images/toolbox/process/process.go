// Package process holds the toolbox's programs about processes and the machine
// they run on. What they tell they read from /proc.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// A proc is one process, as /proc/PID/stat and status have it.
type proc struct {
	pid, ppid int
	uid       string
	state     string
	rss       int64 // KiB
	ticks     int64 // of CPU time, 100 to the second
	comm      string
	args      []string
}

func (p proc) command() string {
	if len(p.args) == 0 {
		return "[" + p.comm + "]"
	}
	return strings.Join(p.args, " ")
}

// list leaves out what ends while it looks.
func list() []proc {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var all []proc
	for _, dir := range dirs {
		if p, err := read(dir); err == nil {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b proc) int { return a.pid - b.pid })
	return all
}

func read(dir string) (p proc, err error) {
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return p, err
	}
	p.pid, _ = strconv.Atoi(filepath.Base(dir))
	// The name is in parentheses and may hold anything: look for the last one.
	open, last := strings.IndexByte(string(stat), '('), strings.LastIndexByte(string(stat), ')')
	fields := strings.Fields(string(stat[last+1:]))
	p.comm, p.state = string(stat[open+1:last]), fields[0]
	p.ppid, _ = strconv.Atoi(fields[1])
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	p.ticks = user + system
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return p, err
	}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		switch words := strings.Fields(value); key {
		case "Uid":
			p.uid = words[0]
		case "VmRSS":
			p.rss, _ = strconv.ParseInt(words[0], 10, 64)
		}
	}
	cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if len(cmdline) > 0 {
		p.args = strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")
	}
	return p, err
}

// Ps lists every process that is visible here. Options are taken and ignored:
// it is always ps -ef.
func Ps([]string) error {
	printTable(list(), nil)
	return nil
}

func printTable(all []proc, cpu map[int]float64) {
	fmt.Fprintf(tool.Out, "%7s %7s %6s %s %8s %5s %s\n", "PID", "PPID", "UID", "S", "RSS", "%CPU", "COMMAND")
	for _, p := range all {
		fmt.Fprintf(tool.Out, "%7d %7d %6s %s %7dK %5.1f %s\n", p.pid, p.ppid, p.uid, p.state, p.rss, cpu[p.pid], p.command())
	}
}

// Top prints the process table every two seconds, busiest first; -n says how
// often, -d how many seconds apart.
func Top(args []string) error {
	o, _, err := tool.Parse(args, "bn:d:")
	if err != nil {
		return err
	}
	every := 2 * time.Second
	if o.Has('d') {
		if every, err = duration(o['d']); err != nil {
			return err
		}
	}
	times := -1
	if o.Has('n') {
		if times, err = strconv.Atoi(o['n']); err != nil {
			return err
		}
	}
	before := map[int]int64{}
	for ; times != 0; times-- {
		all, cpu := list(), map[int]float64{}
		for _, p := range all {
			if was, known := before[p.pid]; known {
				cpu[p.pid] = float64(p.ticks-was) / every.Seconds()
			}
			before[p.pid] = p.ticks
		}
		slices.SortStableFunc(all, func(a, b proc) int { return int(10 * (cpu[b.pid] - cpu[a.pid])) })
		load, _ := os.ReadFile("/proc/loadavg")
		fmt.Fprintf(tool.Out, "\nload average: %s", load)
		printTable(all, cpu)
		if err := tool.Out.Flush(); err != nil {
			return err
		}
		if times != 1 {
			time.Sleep(every)
		}
	}
	return nil
}

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

// Nproc is nproc: the CPUs that this process may run on.
func Nproc([]string) error {
	fmt.Fprintln(tool.Out, runtime.NumCPU())
	return nil
}

// Free is free [-m | -g], in KiB otherwise.
func Free(args []string) error {
	o, _, err := tool.Parse(args, "mgkbh")
	if err != nil {
		return err
	}
	unit := int64(1)
	switch {
	case o.Has('m'), o.Has('h'):
		unit = 1 << 10
	case o.Has('g'):
		unit = 1 << 20
	}
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return err
	}
	kib := map[string]int64{}
	for line := range strings.Lines(string(raw)) {
		key, value, _ := strings.Cut(line, ":")
		kib[key], _ = strconv.ParseInt(strings.Fields(value)[0], 10, 64)
	}
	total, free := kib["MemTotal"], kib["MemFree"]
	cache := kib["Buffers"] + kib["Cached"] + kib["SReclaimable"]
	fmt.Fprintf(tool.Out, "%-6s %12s %12s %12s %12s %12s\n", "", "total", "used", "free", "buff/cache", "available")
	fmt.Fprintf(tool.Out, "%-6s %12d %12d %12d %12d %12d\n", "Mem:", total/unit, (total-free-cache)/unit, free/unit, cache/unit, kib["MemAvailable"]/unit)
	fmt.Fprintf(tool.Out, "%-6s %12d %12d %12d\n", "Swap:", kib["SwapTotal"]/unit, (kib["SwapTotal"]-kib["SwapFree"])/unit, kib["SwapFree"]/unit)
	return nil
}
