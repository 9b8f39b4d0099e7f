// Package apievent sends the kubelet's events to the API server, where kubectl
// describe shows them.
//
// The work is client-go's: it counts repetitions, drops floods, and tries again
// when the API server is away, for some minutes. Events that are older then are
// lost, which is what events are for.
package apievent

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/event"
)

// A Recorder sends events. Make it with [New].
type Recorder struct {
	node        string
	broadcaster record.EventBroadcaster
	sink        watch.Interface
	recorder    record.EventRecorder
}

var _ event.Recorder = (*Recorder)(nil)

// New returns a recorder whose events are the kubelet's of this node. It sends them
// from now on, so that those of the start are not lost; Run has to be called, and
// ends that.
func New(events typedcorev1.EventsGetter, node string) *Recorder {
	b := record.NewBroadcaster()
	return &Recorder{node: node, broadcaster: b,
		sink:     b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: events.Events("")}),
		recorder: b.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: node})}
}

// Run sends events until ctx is done. It can be called once.
func (r *Recorder) Run(ctx context.Context) error {
	<-ctx.Done()
	r.sink.Stop()
	r.broadcaster.Shutdown()
	return nil
}

// Record implements [event.Recorder].
func (r *Recorder) Record(e event.Event) {
	if e.Pod != nil {
		r.recorder.Event(reference(e.Pod, e.Container), e.Type, e.Reason, e.Message)
	}
}

// Node records something that happened to the node. Upstream refers to it by its
// name instead of its UID, and so does kubectl describe node.
func (r *Recorder) Node(kind, reason, message string) {
	r.recorder.Event(&corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: r.node, UID: types.UID(r.node)}, kind, reason, message)
}

// reference names a pod, or one container of it by its path in the pod. A static
// pod has the UID of its manifest, by which kubectl finds its mirror's events.
func reference(pod *corev1.Pod, container string) *corev1.ObjectReference {
	ref := &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion}
	if container != "" {
		ref.FieldPath = fieldPath(pod, container)
	}
	return ref
}

func fieldPath(pod *corev1.Pod, container string) string {
	for _, list := range []struct {
		field string
		all   []corev1.Container
	}{{"initContainers", pod.Spec.InitContainers}, {"containers", pod.Spec.Containers}, {"ephemeralContainers", ephemeral(pod)}} {
		for _, c := range list.all {
			if c.Name == container {
				return "spec." + list.field + "{" + container + "}"
			}
		}
	}
	return ""
}

func ephemeral(pod *corev1.Pod) []corev1.Container {
	var all []corev1.Container
	for i := range pod.Spec.EphemeralContainers {
		all = append(all, *criconfig.Ephemeral(&pod.Spec.EphemeralContainers[i]))
	}
	return all
}
