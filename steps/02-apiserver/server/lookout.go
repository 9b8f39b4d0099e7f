package server

import (
	"sync"
	"time"
)

// A lookout watches how long something takes that is done again and again, and
// calls late when once it takes too long.
//
// A deadline of the connection would do the same. But in HTTP/2 the goroutine that all streams of
// a connection share would have to be told of each, twice for every event.
type lookout struct {
	patience time.Duration
	timer    *time.Timer

	mu     sync.Mutex // guards closed, and is held while late is called
	closed bool
}

func newLookout(patience time.Duration, late func()) *lookout {
	l := &lookout{patience: patience}
	l.timer = time.AfterFunc(patience, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.closed {
			late()
		}
	})
	l.timer.Stop()
	return l
}

func (l *lookout) begin() { l.timer.Reset(l.patience) }
func (l *lookout) end()   { l.timer.Stop() }

// close returns when late is not being called and will not be.
func (l *lookout) close() {
	l.timer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}
