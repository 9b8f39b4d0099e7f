// Package explain remembers decisions, so that one can ask afterwards why a pod went
// where it went, or why it went nowhere.
//
// What is kept is the decision itself, with what every plugin said of every node,
// and nothing is computed again: an explanation that was made up later, by another
// state of the cluster, would be a guess. To keep a decision costs nothing but
// memory; a bound on the number of nodes that were looked at, in all that is kept,
// is a bound on that. The oldest are forgotten first.
package explain

import (
	"encoding/json"
	"net/http"
	"sync"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/decide"
)

// Rows is how many nodes all decisions that are kept may have looked at.
const Rows = 200_000

// Decisions are the last ones, one for each pod. The zero value has none.
type Decisions struct {
	mu    sync.Mutex // guards the fields below
	last  map[string]*decide.Decision
	order []*decide.Decision // oldest first; some have been replaced since
	rows  int                // in order
}

// Decided keeps a decision.
func (k *Decisions) Decided(d *decide.Decision) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.last == nil {
		k.last = map[string]*decide.Decision{}
	}
	k.last[name(d)] = d
	k.order = append(k.order, d)
	k.rows += rows(d)
	for k.rows > Rows && len(k.order) > 1 {
		oldest := k.order[0]
		k.order[0], k.order = nil, k.order[1:]
		k.rows -= rows(oldest)
		if k.last[name(oldest)] == oldest {
			delete(k.last, name(oldest))
		}
	}
}

func name(d *decide.Decision) string { return d.Pod.Namespace + "/" + d.Pod.Name }

// rows: a decision weighs something even if it has looked at no node.
func rows(d *decide.Decision) int { return d.Looked + 50 }

// Last returns the last decision about a pod, by namespace/name; nil if it is not known.
func (k *Decisions) Last(pod string) *decide.Decision {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last[pod]
}

// ServeHTTP answers ?pod=namespace/name with a decide.Explanation as JSON.
func (k *Decisions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	pod := r.URL.Query().Get("pod")
	d := k.Last(pod)
	if d == nil {
		http.Error(w, "no decision about pod "+pod+" is remembered: it has not been this scheduler's turn, or it is long ago", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(d.Explain()) // the client has gone if it fails
}
