package probe

import (
	"context"
	"sync"
)

// results holds the newest result of every probe, by container id, and the
// updates that nobody has taken yet.
type results struct {
	updates chan Update

	mu      sync.Mutex // guards the fields below
	known   map[resultKey]Result
	pending map[resultKey]Update
	order   []resultKey   // of pending
	arrived chan struct{} // has room for one
}

type resultKey struct {
	kind        Kind
	containerID string
}

func newResults() *results {
	return &results{
		updates: make(chan Update),
		known:   map[resultKey]Result{},
		pending: map[resultKey]Update{},
		arrived: make(chan struct{}, 1),
	}
}

func (r *results) get(kind Kind, containerID string) (Result, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	result, ok := r.known[resultKey{kind, containerID}]
	return result, ok
}

// begin records what holds before the first answer, which is no news.
func (r *results) begin(kind Kind, containerID string, first Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[resultKey{kind, containerID}] = first
}

// set records a result, and queues it if it is a change.
func (r *results) set(u Update) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := resultKey{u.Kind, u.ContainerID}
	if r.known[k] == u.Result {
		return
	}
	r.known[k] = u.Result
	if _, waiting := r.pending[k]; !waiting {
		r.order = append(r.order, k)
	}
	r.pending[k] = u
	select {
	case r.arrived <- struct{}{}:
	default:
	}
}

// drop forgets a container. An update of it that waits goes out all the same.
func (r *results) drop(kind Kind, containerID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, resultKey{kind, containerID})
}

func (r *results) next() (Update, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.order) == 0 {
		return Update{}, false
	}
	k := r.order[0]
	u := r.pending[k]
	r.order = r.order[1:]
	delete(r.pending, k)
	return u, true
}

// pump sends updates until ctx is done.
func (r *results) pump(ctx context.Context) {
	for {
		u, ok := r.next()
		if !ok {
			select {
			case <-r.arrived:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case r.updates <- u:
		case <-ctx.Done():
			return
		}
	}
}
