package mirror

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource/static"
)

const nodeUID = types.UID("node-uid")

func staticPod(name, hash string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "kube-system", UID: types.UID(hash),
			Annotations: map[string]string{podsource.Annotation: "file", "kubernetes.io/config.hash": hash}},
		Spec: corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
}

func mirrorOf(pod *corev1.Pod, changes ...func(*corev1.Pod)) *corev1.Pod {
	m := Of(pod, "node-1", nodeUID)
	m.UID = "uid-of-" + pod.UID
	for _, change := range changes {
		change(m)
	}
	return m
}

func TestDecide(t *testing.T) {
	deleted := func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }
	ofAnotherNode := func(p *corev1.Pod) { p.OwnerReferences[0].UID = "an earlier node" }
	for _, tt := range []struct {
		name            string
		static, mirrors []*corev1.Pod
		create, remove  string
	}{
		{"none", nil, nil, "", ""},
		{"a static pod without mirror", []*corev1.Pod{staticPod("etcd", "1")}, nil, "etcd", ""},
		{"as it should be", []*corev1.Pod{staticPod("etcd", "1")}, []*corev1.Pod{mirrorOf(staticPod("etcd", "1"))}, "", ""},
		{"the manifest has gone", nil, []*corev1.Pod{mirrorOf(staticPod("etcd", "1"))}, "", "etcd"},
		{"the manifest has changed", []*corev1.Pod{staticPod("etcd", "2")}, []*corev1.Pod{mirrorOf(staticPod("etcd", "1"))}, "", "etcd"},
		{"somebody deletes the mirror", []*corev1.Pod{staticPod("etcd", "1")}, []*corev1.Pod{mirrorOf(staticPod("etcd", "1"), deleted)}, "", "etcd"},
		{"the node was registered anew", []*corev1.Pod{staticPod("etcd", "1")}, []*corev1.Pod{mirrorOf(staticPod("etcd", "1"), ofAnotherNode)}, "", "etcd"},
		{"two, one of each", []*corev1.Pod{staticPod("a", "1"), staticPod("b", "1")}, []*corev1.Pod{mirrorOf(staticPod("b", "1")), mirrorOf(staticPod("c", "1"))}, "a", "c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			create, remove := Decide(tt.static, tt.mirrors, nodeUID)
			if names(create) != tt.create || names(remove) != tt.remove {
				t.Errorf("got create %q, remove %q, want %q, %q", names(create), names(remove), tt.create, tt.remove)
			}
		})
	}
}

func names(pods []*corev1.Pod) string {
	var all []string
	for _, p := range pods {
		all = append(all, p.Name)
	}
	return strings.Join(all, " ")
}

func TestTheMirrorIsTheNodes(t *testing.T) {
	pod := mirrorOf(staticPod("etcd", "1"))
	if owner := metav1.GetControllerOf(pod); owner == nil || owner.Kind != "Node" || owner.Name != "node-1" || owner.UID != nodeUID {
		t.Errorf("got owner %v", owner)
	}
	if Of(staticPod("etcd", "1"), "node-1", nodeUID).UID != "" {
		t.Error("the mirror has the static pod's UID; the API server gives it one")
	}
}

// A mirror follows its manifest through its life.
func TestLife(t *testing.T) {
	client := fake.NewClientset()
	pods := client.CoreV1().Pods("kube-system")
	var mu sync.Mutex
	made := map[types.UID]int{}
	m := New(Config{Pods: client.CoreV1(), NodeName: "node-1", NodeUID: func() types.UID { return nodeUID }, Every: 10 * time.Millisecond,
		Mirrors: func() ([]*corev1.Pod, bool) {
			list, err := pods.List(context.Background(), metav1.ListOptions{})
			if err != nil {
				return nil, false
			}
			var all []*corev1.Pod
			for i := range list.Items {
				all = append(all, &list.Items[i])
			}
			return all, true
		},
		Made: func(uid types.UID) { mu.Lock(); made[uid]++; mu.Unlock() },
		Log:  slog.New(slog.DiscardHandler)})
	files := static.New(staticPod("etcd", "1"))
	source := m.Watch(files)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = source.Run(ctx, func([]*corev1.Pod) {}) })
	running.Go(func() { _ = m.Run(ctx) })
	defer running.Wait()
	defer cancel()

	until := func(what, want string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; <-time.After(time.Millisecond) {
			got := ""
			if pod, err := pods.Get(t.Context(), "etcd", metav1.GetOptions{}); err == nil {
				got = pod.Annotations[corev1.MirrorPodAnnotationKey]
			}
			if got == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("waited in vain for %s: got hash %q, want %q", what, got, want)
			}
		}
	}
	until("the mirror", "1")
	if err := pods.Delete(t.Context(), "etcd", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until("the mirror to come back", "1")
	files.Set(staticPod("etcd", "2"))
	until("the mirror of the new manifest", "2")
	files.Set()
	until("the mirror to go", "")
	mu.Lock()
	defer mu.Unlock()
	if made["1"] != 2 || made["2"] != 1 {
		t.Errorf("got mirrors made %v, want two of 1 and one of 2", made)
	}
}
