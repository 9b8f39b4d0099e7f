package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Down removes the file that the lock is on: who had it open before must not take what
// he has for the lock.
func TestLockHasOneHolderWhileDownRemovesIt(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	var holders, held atomic.Int32
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
				c := Cluster{Home: home}
				if err := c.Lock(); err != nil && strings.Contains(err.Error(), "is locked") {
					continue
				} else if err != nil {
					t.Error(err)
					return
				}
				held.Add(1)
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d have the lock", n)
				}
				holders.Add(-1)
				if err := os.Remove(c.path("lock")); err != nil { // as Down does
					t.Error(err)
				}
				os.Remove(home) // unless the next one is in it
				c.Unlock()
			}
		})
	}
	all.Wait()
	if held.Load() == 0 {
		t.Error("nobody has had the lock")
	}
}
