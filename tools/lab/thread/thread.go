// Package thread runs work on an operating system thread that may change its
// namespaces for good, because it ends with the work.
package thread

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Run runs work on a thread of its own and returns what it returns. It is never
// the process's first thread: that one cannot end before the process, and its
// namespaces are what /proc/self shows of the process.
func Run(work func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			// Work started from here gets another thread while this one is taken.
			defer runtime.UnlockOSThread()
			result <- Run(work)
			return
		}
		// Not unlocked: the runtime ends a thread whose goroutine ended locked.
		result <- work()
	}()
	return <-result
}
