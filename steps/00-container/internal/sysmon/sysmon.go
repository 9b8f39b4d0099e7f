// Package sysmon calms the thread by which Go's scheduler watches itself.
package sysmon

import (
	"os"
	"strconv"
	"time"
)

// Calm lets that thread sleep for d at a time. In a process that works, Go looks
// every 20 µs whether a thread has been in a system call for long and keeps others
// from running; in small processes that work for some milliseconds that is one part in
// ten of all that they do. Where one goroutine works, nothing is lost; where there are
// more, one may wait for another's system call, d at most.
//
// A thread sleeps longer than it asked for by its timer slack (prctl(2),
// PR_SET_TIMERSLACK), which is inherited; so the one of the main thread, which may
// become another program, stays as it is. Sysmon is the first that the main thread
// starts (runtime.main). If it is not found, nothing is lost either.
func Calm(d time.Duration) {
	dir, err := os.Open("/proc/self/task")
	if err != nil {
		return
	}
	defer dir.Close()
	threads, err := dir.Readdirnames(2) // the oldest first
	if err != nil || len(threads) < 2 {
		return
	}
	_ = os.WriteFile("/proc/"+threads[1]+"/timerslack_ns", []byte(strconv.FormatInt(d.Nanoseconds(), 10)), 0)
}
