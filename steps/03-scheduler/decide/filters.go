package decide

import "github.com/k8s-groundup/groundup/steps/03-scheduler/framework"

// Filters are filters that were prepared for one pod.
type Filters []namedFilter

type namedFilter struct {
	plugin string
	filter framework.Filter
}

// Check asks whether pod, for which the filters were prepared, could run on the
// node. It returns the first no and whose it is; a nil status is a yes.
//
// A pod that has made room for itself by preemption is not on the node yet, but
// nobody of lower priority shall take its place. So where such pods are
// nominated the answer must be yes twice: with them on the node, and without,
// for they may end up elsewhere.
func (f Filters) Check(snapshot *framework.Snapshot, pod *framework.Pod, node *framework.Node) (plugin string, status *framework.Status) {
	if nominated := snapshot.Nominated[node.Name]; len(nominated) > 0 {
		if plugin, status := f.checkWith(nominated, pod, node); !status.OK() {
			return plugin, status
		}
	}
	return f.check(node)
}

func (f Filters) check(node *framework.Node) (string, *framework.Status) {
	for i := range f {
		if status := f[i].filter.Filter(node); !status.OK() {
			return f[i].plugin, status
		}
	}
	return "", nil
}

// checkWith checks with those nominated pods on the node that the pod has to
// give way to.
func (f Filters) checkWith(nominated []*framework.Pod, pod *framework.Pod, node *framework.Node) (string, *framework.Status) {
	var filters Filters
	for _, other := range nominated {
		if other.Priority < pod.Priority || other.UID == pod.UID {
			continue
		}
		if filters == nil {
			filters, node = f.Clone(), node.Clone()
		}
		node.AddPod(other)
		filters.AddPod(other, node)
	}
	return filters.check(node)
}

// Clone returns filters that can be told of pods without f hearing of it.
func (f Filters) Clone() Filters {
	c := make(Filters, len(f))
	for i, named := range f {
		if t, ok := named.filter.(framework.TrackingFilter); ok {
			named.filter = t.Clone()
		}
		c[i] = named
	}
	return c
}

// AddPod tells the filters that a pod is on the node now.
func (f Filters) AddPod(pod *framework.Pod, node *framework.Node) {
	for i := range f {
		if t, ok := f[i].filter.(framework.TrackingFilter); ok {
			t.AddPod(pod, node)
		}
	}
}

// RemovePod tells the filters that a pod is not on the node any more.
func (f Filters) RemovePod(pod *framework.Pod, node *framework.Node) {
	for i := range f {
		if t, ok := f[i].filter.(framework.TrackingFilter); ok {
			t.RemovePod(pod, node)
		}
	}
}
