package framework

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// A Node is an API object, the pods on the node, and sums over those pods that
// are kept up to date with every pod that comes or goes.
//
// Whoever made a Node may change it until it is part of a [Snapshot]; after
// that, change a Clone.
type Node struct {
	*corev1.Node

	Allocatable Resources
	MaxPods     int64

	// Taints by what they do: refuse a pod (NoSchedule, NoExecute), or
	// just be a reason to go elsewhere (PreferNoSchedule).
	HardTaints, SoftTaints []corev1.Taint

	// Images has the size in bytes of each image that the node has, by all of
	// the image's names.
	Images map[string]int64

	Pods      []*Pod
	Requested Resources // of all Pods
	NonZero   Resources // of all Pods, see Pod.NonZero
	Ports     []HostPort
	Groups    []Group

	place int // in Snapshot.Nodes
}

// A Group is how many pods of one class a node has.
type Group struct {
	Class Class
	Pod   *Pod // one of them; they are all alike to selectors and affinity
	Count int64
}

// NewNode returns a node with pods on it. object may be nil for as long as the
// node is unknown and just its pods have been seen; such a node must not get
// into a snapshot.
func NewNode(object *corev1.Node, pods ...*Pod) *Node {
	n := &Node{}
	if object != nil {
		n.SetObject(object)
	}
	for _, pod := range pods {
		n.AddPod(pod)
	}
	return n
}

// SetObject puts a newer object in the place of the last one, which may be nil
// to say that the node is gone (while pods on it are not).
func (n *Node) SetObject(object *corev1.Node) {
	n.Node = object
	n.HardTaints, n.SoftTaints = nil, nil
	n.Images = map[string]int64{}
	n.Allocatable, n.MaxPods = Resources{}, 0
	if object == nil {
		return
	}
	n.Allocatable = NewResources(object.Status.Allocatable)
	n.MaxPods = object.Status.Allocatable.Pods().Value()
	for _, taint := range object.Spec.Taints {
		switch taint.Effect {
		case corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute:
			n.HardTaints = append(n.HardTaints, taint)
		case corev1.TaintEffectPreferNoSchedule:
			n.SoftTaints = append(n.SoftTaints, taint)
		}
	}
	for _, image := range object.Status.Images {
		for _, name := range image.Names {
			n.Images[name] = image.SizeBytes
		}
	}
}

// AddPod counts a pod in.
func (n *Node) AddPod(pod *Pod) {
	n.Pods = append(n.Pods, pod)
	n.Ports = append(n.Ports, pod.Ports...)
	n.count(pod, 1)
}

// RemovePod counts the pod with the same UID out, as it was when it was
// added. An error means that there is none.
func (n *Node) RemovePod(pod *Pod) error {
	i := slices.IndexFunc(n.Pods, func(p *Pod) bool { return p.UID == pod.UID })
	if i < 0 {
		return fmt.Errorf("pod %s/%s is not on the node", pod.Namespace, pod.Name)
	}
	removed := n.Pods[i]
	last := len(n.Pods) - 1
	n.Pods[i], n.Pods[last] = n.Pods[last], nil
	n.Pods = n.Pods[:last]
	for _, port := range removed.Ports {
		if i := slices.Index(n.Ports, port); i >= 0 {
			n.Ports = slices.Delete(n.Ports, i, i+1)
		}
	}
	n.count(removed, -1)
	return nil
}

func (n *Node) count(pod *Pod, sign int64) {
	n.Requested.add(&pod.Requests, sign)
	n.NonZero.add(&pod.NonZero, sign)
	i := slices.IndexFunc(n.Groups, func(g Group) bool { return g.Class == pod.Class })
	switch {
	case i < 0:
		n.Groups = append(n.Groups, Group{Class: pod.Class, Pod: pod, Count: sign})
	case n.Groups[i].Count+sign == 0:
		n.Groups = slices.Delete(n.Groups, i, i+1)
	default:
		n.Groups[i].Count += sign
	}
}

// Place is where in Snapshot.Nodes the node is, or the one that it is a clone
// of, if that is in a snapshot.
func (n *Node) Place() int { return n.place }

// Clone returns a node that can be changed while this one stays as it is.
func (n *Node) Clone() *Node {
	c := *n
	c.Pods = slices.Clone(n.Pods)
	c.Ports = slices.Clone(n.Ports)
	c.Groups = slices.Clone(n.Groups)
	c.Requested = n.Requested.clone()
	c.NonZero.Extended = maps.Clone(n.NonZero.Extended)
	return &c
}
