package controlplane

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Processes are programs that are measured together.
type Processes struct {
	running []*exec.Cmd
}

// Run starts a process, whose output goes to a file in dir.
func (p *Processes) Run(dir, program string, args ...string) error {
	log, err := os.Create(filepath.Join(dir, filepath.Base(program)+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	p.running = append(p.running, cmd)
	return nil
}

// Stop ends the processes, the last one first: an API server before its store.
func (p *Processes) Stop() (err error) {
	for _, cmd := range slices.Backward(p.running) {
		err = errors.Join(err, cmd.Process.Signal(os.Interrupt))
		hung := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait() // how it ends is no figure
		hung.Stop()
	}
	p.running = nil
	return err
}

// Memory is the resident memory of the processes, in MiB.
func (p *Processes) Memory() (float64, error) {
	var kib float64
	for _, cmd := range p.running {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				n, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
				if err != nil {
					return 0, err
				}
				kib += n
			}
		}
	}
	return kib / 1024, nil
}

// tick is the unit of times in /proc/PID/stat.
const tick = 10 * time.Millisecond

// CPU is the processor time that the processes have used.
func (p *Processes) CPU() (total time.Duration, err error) {
	for _, cmd := range p.running {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
		if err != nil {
			return 0, err
		}
		fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		for _, f := range fields[11:13] { // utime and stime
			n, err := strconv.ParseInt(string(f), 10, 64)
			if err != nil {
				return 0, err
			}
			total += time.Duration(n) * tick
		}
	}
	return total, nil
}
