package authz

import (
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A Graph knows which objects the pods of each node refer to. It is fed with all
// pods, and forgets with them.
type Graph struct {
	mu sync.RWMutex // guards the fields below

	// pods is what each pod that is on a node has contributed.
	pods map[types.NamespacedName]edges

	// nodes counts, for an object and a node, the pods there that refer to it.
	nodes map[vertex]map[string]int
}

// A vertex is an object that a pod can refer to, or a pod.
type vertex struct{ resource, namespace, name string }

type edges struct {
	node     string
	vertices []vertex
}

// Set takes in a pod that is new or has changed.
func (g *Graph) Set(pod *corev1.Pod) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
	g.drop(key)
	if pod.Spec.NodeName == "" {
		return
	}
	if g.pods == nil {
		g.pods, g.nodes = map[types.NamespacedName]edges{}, map[vertex]map[string]int{}
	}
	e := edges{node: pod.Spec.NodeName, vertices: references(pod)}
	g.pods[key] = e
	for _, v := range e.vertices {
		if g.nodes[v] == nil {
			g.nodes[v] = map[string]int{}
		}
		g.nodes[v][e.node]++
	}
}

// Delete forgets a pod.
func (g *Graph) Delete(namespace, name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drop(types.NamespacedName{Namespace: namespace, Name: name})
}

func (g *Graph) drop(key types.NamespacedName) {
	e := g.pods[key]
	delete(g.pods, key)
	for _, v := range e.vertices {
		if g.nodes[v][e.node]--; g.nodes[v][e.node] == 0 {
			delete(g.nodes[v], e.node)
		}
		if len(g.nodes[v]) == 0 {
			delete(g.nodes, v)
		}
	}
}

// Related says whether a pod on the node refers to the object, or is it.
func (g *Graph) Related(node, resource, namespace, name string) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.nodes[vertex{resource, namespace, name}][node] > 0
}

// references are the pod itself and what the kubelet must read to run it, each once.
// A mirror pod is the node's own word: it opens nothing.
func references(pod *corev1.Pod) []vertex {
	var all []vertex
	add := func(resource, name string) {
		if v := (vertex{resource, pod.Namespace, name}); name != "" && !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	add("pods", pod.Name)
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return all
	}
	add("serviceaccounts", pod.Spec.ServiceAccountName)
	for _, s := range pod.Spec.ImagePullSecrets {
		add("secrets", s.Name)
	}
	for i := range pod.Spec.Volumes {
		volumeReferences(&pod.Spec.Volumes[i], add)
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			environmentReferences(list[i].Env, list[i].EnvFrom, add)
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		environmentReferences(pod.Spec.EphemeralContainers[i].Env, pod.Spec.EphemeralContainers[i].EnvFrom, add)
	}
	return all
}

func volumeReferences(v *corev1.Volume, add func(resource, name string)) {
	switch {
	case v.Secret != nil:
		add("secrets", v.Secret.SecretName)
	case v.ConfigMap != nil:
		add("configmaps", v.ConfigMap.Name)
	case v.PersistentVolumeClaim != nil:
		add("persistentvolumeclaims", v.PersistentVolumeClaim.ClaimName)
	case v.CSI != nil && v.CSI.NodePublishSecretRef != nil:
		add("secrets", v.CSI.NodePublishSecretRef.Name)
	case v.Projected != nil:
		for _, s := range v.Projected.Sources {
			if s.Secret != nil {
				add("secrets", s.Secret.Name)
			}
			if s.ConfigMap != nil {
				add("configmaps", s.ConfigMap.Name)
			}
		}
	}
}

func environmentReferences(env []corev1.EnvVar, from []corev1.EnvFromSource, add func(resource, name string)) {
	for _, e := range env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			add("secrets", e.ValueFrom.SecretKeyRef.Name)
		}
		if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil {
			add("configmaps", e.ValueFrom.ConfigMapKeyRef.Name)
		}
	}
	for _, f := range from {
		if f.SecretRef != nil {
			add("secrets", f.SecretRef.Name)
		}
		if f.ConfigMapRef != nil {
			add("configmaps", f.ConfigMapRef.Name)
		}
	}
}
