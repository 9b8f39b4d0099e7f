// Package process holds the toolbox's programs about processes and the machine
// they run on. What they tell they read from /proc.
package process

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

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
