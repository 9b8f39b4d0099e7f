package decide

import "github.com/k8s-groundup/groundup/steps/03-scheduler/framework"

// Known is what the last decisions have found out that still holds for the next
// one: what [framework.Local] plugins say about a node for pods that are alike, as
// those of one Deployment are. Nodes in a snapshot are never changed, just replaced,
// so an answer holds as long as its node is there; and one decision replaces one
// node. A decision is the same with it and without it.
//
// The zero value knows nothing. One goroutine decides with it at a time.
type Known struct {
	profile *Profile
	pod     *framework.Pod // the last one
	alike   bool           // the one before it was like it

	// By place in Snapshot.Nodes; what was found out about another node than the
	// one that is there now does not count. Nothing is kept before there are two
	// pods that are alike.
	answers []answer
	scored  []*framework.Node
	scores  []int64 // of each node in scored, one for each of Profile.Scores, not normalized
}

// answer is what the filters say about a node.
type answer struct {
	node   *framework.Node
	plugin string // that says no
	status *framework.Status
}

// turn prepares k for a decision about the pod, and forgets what does not hold for it.
func (k *Known) turn(pod *framework.Pod, profile *Profile, nodes int) {
	alike := k.profile == profile && profile.alike(k.pod, pod)
	if alike && (!k.alike || len(k.scored) != nodes) {
		k.answers, k.scored = make([]answer, nodes), make([]*framework.Node, nodes)
		k.scores = make([]int64, nodes*len(profile.Scores))
	}
	k.profile, k.pod, k.alike = profile, pod, alike
}

// scoresOf returns the node's scores, one for each of Profile.Scores, and whether they
// are held: if not, the caller fills in those of Local plugins, all of them.
func (k *Known) scoresOf(node *framework.Node) (scores []int64, held bool) {
	if k == nil {
		return nil, false
	}
	place, each := node.Place(), len(k.profile.Scores)
	held = k.scored[place] == node
	k.scored[place] = node
	return k.scores[place*each:][:each], held
}

// alike says whether all Local plugins say the same about both pods.
func (p *Profile) alike(a, b *framework.Pod) bool {
	same := func(plugin framework.Plugin) bool {
		local, ok := plugin.(framework.Local)
		return !ok || local.Alike(a, b)
	}
	for _, filter := range p.Filters {
		if !same(filter) {
			return false
		}
	}
	for _, score := range p.Scores {
		if !same(score.Plugin) {
			return false
		}
	}
	return true
}

func isLocal(plugin framework.Plugin) bool {
	_, ok := plugin.(framework.Local)
	return ok
}
