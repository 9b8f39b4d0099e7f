package hollow

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/admission"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
)

// A gate lets pods onto nodes one after the other, as the kubelet of each would: two
// schedulers may have given away the same room.
type gate struct {
	room corev1.ResourceList // of each node
	pods cache.Indexer       // what is known of all pods, byNode

	mu  sync.Mutex
	let map[types.UID]bool // in, and not known to run yet
}

func newGate(room corev1.ResourceList, pods cache.Indexer) *gate {
	return &gate{room: room, pods: pods, let: map[types.UID]bool{}}
}

const byNode = "node"

func nodeOf(obj any) ([]string, error) { return []string{obj.(*corev1.Pod).Spec.NodeName}, nil }

// admit returns why a pod can't run on its node, nil if it can. It may be asked again.
func (g *gate) admit(pod *corev1.Pod) *criconfig.Rejection {
	g.mu.Lock()
	defer g.mu.Unlock()
	there, _ := g.pods.ByIndex(byNode, pod.Spec.NodeName) // an error is that of an index that is not
	var others []*corev1.Pod
	for _, obj := range there {
		o := obj.(*corev1.Pod)
		if o.UID != pod.UID && (o.Status.Phase == corev1.PodRunning || g.let[o.UID]) {
			others = append(others, o)
		}
	}
	why := admission.Room(g.room, int(g.room.Pods().Value()), pod, others)
	if why == nil {
		g.let[pod.UID] = true
	}
	return why
}

// seen says that it is known by now what has become of a pod.
func (g *gate) seen(uid types.UID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.let, uid)
}
