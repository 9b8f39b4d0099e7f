package state

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// A Process is a process identified so that a recycled number is not mistaken
// for it, not even after a reboot.
type Process struct {
	PID       int    `json:"pid"`
	StartTime string `json:"startTime"` // field 22 of /proc/PID/stat, in clock ticks since boot
	BootID    string `json:"bootID"`
}

// Identify describes a live process.
func Identify(pid int) (Process, error) {
	start, err := startTime(pid)
	return Process{PID: pid, StartTime: start, BootID: bootID()}, err
}

// Alive reports whether the process still runs. A zombie does not.
func (p Process) Alive() bool {
	if p.PID == 0 || p.BootID != bootID() {
		return false
	}
	start, err := startTime(p.PID)
	return err == nil && start == p.StartTime
}

// startTime fails for a zombie. proc(5): the second field is in parentheses
// and may itself hold spaces and parentheses.
func startTime(pid int) (string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	return fields[19], nil
}

var bootID = sync.OnceValue(func() string {
	data, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data))
})

// Started says which process a container runs.
type Started struct {
	Process
	At   time.Time `json:"at"`
	Slot int       `json:"slot"` // where the pause process keeps its pipes; see package rack
}

// Exit is how a container ended.
type Exit struct {
	Code    int       `json:"code"` // 128+N for signal N
	OOM     bool      `json:"oom,omitempty"`
	Reason  string    `json:"reason,omitempty"`  // when it is not a plain exit, such as StartError
	Message string    `json:"message,omitempty"` // for people
	At      time.Time `json:"at"`
}
