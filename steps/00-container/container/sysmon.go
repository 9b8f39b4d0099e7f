package container

import (
	"os"
)

// calmSysmon lets the thread by which Go's scheduler watches itself sleep for ten
// milliseconds at a time. A Go process begins with looking every 20 µs, which in a
// life as short as init's is one part in twenty of all that it does, for nothing:
// there is one goroutine.
//
// A thread sleeps longer than it asked for by its timer slack (prctl(2),
// PR_SET_TIMERSLACK), which is inherited; so the one of the main thread, which
// becomes the container's program, must stay as it is. Sysmon is the first that the
// main thread starts (runtime.main). If it is not found, nothing is lost.
func calmSysmon() {
	dir, err := os.Open("/proc/self/task")
	if err != nil {
		return
	}
	defer dir.Close()
	threads, err := dir.Readdirnames(2) // the oldest first
	if err != nil || len(threads) < 2 {
		return
	}
	_ = os.WriteFile("/proc/"+threads[1]+"/timerslack_ns", []byte("10000000"), 0)
}
