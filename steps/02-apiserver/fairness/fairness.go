// Package fairness bounds how many requests are served at once, and sees to it
// that none who asks for much keeps the others out.
//
// Requests beyond the bound wait, each in the queue of its user. Whenever a
// place becomes free it goes to the next user in turn, not to the next request: whoever
// has a thousand waiting and whoever has one are served alternately. Nobody has more
// than half of the places, or one whose requests never end would have all. A queue has
// an end; who comes after it is told to try again later (429).
//
// Upstream calls this API priority and fairness, and has levels, shares and
// shuffled queues besides: staging/src/k8s.io/apiserver/pkg/util/flowcontrol.
package fairness

import (
	"context"
	"errors"
	"slices"
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
	most   int // that one user may have
	queue  int // the most that wait for one user

	mu     sync.Mutex // guards the fields below
	used   int
	has    map[string]int // places, by user
	turn   []*flow        // who has somebody waiting, the next first
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
	return &Limiter{places: places, most: (places + 1) / 2, queue: queue, has: map[string]int{}, byUser: map[string]*flow{}}
}

// Acquire waits for a place until ctx is done. Whoever got one returns it by release.
func (l *Limiter) Acquire(ctx context.Context, user string) (release func(), err error) {
	w, err := l.enter(user)
	if err != nil {
		return nil, err
	}
	release = func() { l.release(user) }
	if w == nil {
		return release, nil
	}
	select {
	case <-w.ready:
		return release, nil
	case <-ctx.Done():
	}
	if !l.leave(user, w) { // it was our turn just now
		release()
	}
	return nil, ErrTimeout
}

// enter takes a place, or the last of the user's queue.
func (l *Limiter) enter(user string) (*waiter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mayTake(user) {
		l.take(user)
		return nil, nil
	}
	f := l.byUser[user]
	if f == nil {
		f = &flow{user: user}
	}
	if len(f.waiting) >= l.queue {
		return nil, ErrFull
	}
	if len(f.waiting) == 0 {
		l.byUser[user] = f
		l.turn = append(l.turn, f)
	}
	w := &waiter{make(chan struct{})}
	f.waiting = append(f.waiting, w)
	return w, nil
}

func (l *Limiter) mayTake(user string) bool { return l.used < l.places && l.has[user] < l.most }

func (l *Limiter) take(user string) {
	l.used++
	l.has[user]++
}

// release gives the place to the next in turn who may have it.
func (l *Limiter) release(user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used--
	if l.has[user]--; l.has[user] == 0 {
		delete(l.has, user)
	}
	i := slices.IndexFunc(l.turn, func(f *flow) bool { return l.mayTake(f.user) })
	if i < 0 {
		return
	}
	f := l.turn[i]
	l.turn = slices.Delete(l.turn, i, i+1)
	w := f.waiting[0]
	f.waiting = f.waiting[1:]
	if len(f.waiting) > 0 {
		l.turn = append(l.turn, f)
	} else {
		delete(l.byUser, f.user)
	}
	l.take(f.user)
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
