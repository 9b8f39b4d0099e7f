// Package fairness bounds how many requests are served at once, and sees to it
// that none who asks for much keeps the others out.
//
// Requests beyond the bound wait, each in the queue of its user. Whenever a
// place becomes free it goes to the next user in turn, not to the next request: whoever
// has a thousand waiting and whoever has one are served alternately. A queue has
// an end; who comes after it is told to try again later (429).
//
// Upstream calls this API priority and fairness, and has levels, shares and
// shuffled queues besides: staging/src/k8s.io/apiserver/pkg/util/flowcontrol.
package fairness

import (
	"context"
	"errors"
	"sync"
)

// Errors of Acquire.
var (
	ErrFull    = errors.New("too many requests of this user are waiting")
	ErrTimeout = errors.New("no place has become free in time")
)

// A Limiter hands out places. Its methods may be called at the same time.
type Limiter struct {
	places int // to hand out
	queue  int // the most that wait for one user

	mu     sync.Mutex // guards the fields below
	used   int
	turn   []*flow // who has somebody waiting, the next first
	byUser map[string]*flow
}

// A flow is the waiting requests of one user.
type flow struct {
	user    string
	waiting []*waiter
}

type waiter struct{ ready chan struct{} }

// New returns a limiter of so many places, and for every user a queue of so many.
func New(places, queue int) *Limiter {
	return &Limiter{places: places, queue: queue, byUser: map[string]*flow{}}
}

// Acquire waits for a place until ctx is done. Whoever got one returns it by release.
func (l *Limiter) Acquire(ctx context.Context, user string) (release func(), err error) {
	w, err := l.enter(user)
	if err != nil {
		return nil, err
	}
	if w == nil {
		return l.release, nil
	}
	select {
	case <-w.ready:
		return l.release, nil
	case <-ctx.Done():
	}
	if !l.leave(user, w) { // it was our turn just now
		l.release()
	}
	return nil, ErrTimeout
}

// enter takes a place, or the last of the user's queue.
func (l *Limiter) enter(user string) (*waiter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.used < l.places {
		l.used++
		return nil, nil
	}
	f := l.byUser[user]
	if f == nil {
		f = &flow{user: user}
		l.byUser[user] = f
		l.turn = append(l.turn, f)
	}
	if len(f.waiting) >= l.queue {
		return nil, ErrFull
	}
	w := &waiter{make(chan struct{})}
	f.waiting = append(f.waiting, w)
	return w, nil
}

// release gives the place to the next in turn.
func (l *Limiter) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.turn) == 0 {
		l.used--
		return
	}
	f := l.turn[0]
	l.turn = l.turn[1:]
	w := f.waiting[0]
	f.waiting = f.waiting[1:]
	if len(f.waiting) > 0 {
		l.turn = append(l.turn, f)
	} else {
		delete(l.byUser, f.user)
	}
	close(w.ready)
}

// leave takes a waiter out of its queue, and says whether it still was there.
func (l *Limiter) leave(user string, w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.byUser[user]
	if f == nil {
		return false
	}
	for i, other := range f.waiting {
		if other != w {
			continue
		}
		f.waiting = append(f.waiting[:i:i], f.waiting[i+1:]...)
		if len(f.waiting) == 0 {
			l.forget(f)
		}
		return true
	}
	return false
}

func (l *Limiter) forget(f *flow) {
	delete(l.byUser, f.user)
	for i, other := range l.turn {
		if other == f {
			l.turn = append(l.turn[:i:i], l.turn[i+1:]...)
			return
		}
	}
}

// Waiting is how many requests have no place yet.
func (l *Limiter) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, f := range l.turn {
		n += len(f.waiting)
	}
	return n
}

// Used is how many places are taken.
func (l *Limiter) Used() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used
}
