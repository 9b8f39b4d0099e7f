package thread

import (
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRunNeverUsesTheFirstThread(t *testing.T) {
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			Run(func() error {
				if unix.Gettid() == os.Getpid() {
					t.Error("work ran on the first thread")
				}
				return nil
			})
		})
	}
	wg.Wait()
}
