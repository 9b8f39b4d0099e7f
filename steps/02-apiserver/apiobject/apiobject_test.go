package apiobject

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/server/servertest"
)

func podOf(t *testing.T, spec string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "uid"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &pod.Spec); err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestRefs(t *testing.T) {
	pod := podOf(t, `
imagePullSecrets: [{name: pull}]
initContainers: [{name: i, envFrom: [{configMapRef: {name: from-map}}, {secretRef: {name: from-secret}}]}]
containers:
- name: a
  env:
  - {name: A, value: plain}
  - {name: B, valueFrom: {configMapKeyRef: {name: key-map, key: k}}}
  - {name: C, valueFrom: {secretKeyRef: {name: key-secret, key: k}}}
  - {name: D, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
ephemeralContainers: [{name: e, envFrom: [{configMapRef: {name: debug}}]}]
volumes:
- {name: a, configMap: {name: key-map}}
- {name: b, secret: {secretName: volume-secret}}
- {name: c, emptyDir: {}}
- {name: d, projected: {sources: [{configMap: {name: root-ca}}, {secret: {name: projected-secret}}, {serviceAccountToken: {path: token}}]}}
`)
	want := []Ref{{"secret", "shop", "pull"}, {"configmap", "shop", "from-map"}, {"secret", "shop", "from-secret"}, {"configmap", "shop", "key-map"},
		{"secret", "shop", "key-secret"}, {"configmap", "shop", "debug"}, {"secret", "shop", "volume-secret"}, {"configmap", "shop", "root-ca"},
		{"secret", "shop", "projected-secret"}}
	if got := Refs(pod); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func configMap(value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "conf", Namespace: "shop"}, Data: map[string]string{"k": value}}
}

func newCache(t *testing.T, client kubernetes.Interface) (*Cache, <-chan types.UID) {
	told := make(chan types.UID, 100)
	c := New(client, func(uid types.UID) { told <- uid })
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return c, told
}

func expect(t *testing.T, told <-chan types.UID, what string) {
	t.Helper()
	select {
	case uid := <-told:
		if uid != "uid" {
			t.Errorf("%s: got pod %s", what, uid)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("the pod was not told that %s", what)
	}
}

// TestAChangeIsKnownAtOnce asks a real server. A fake clientset loses what changes
// between a list and the watch that follows it.
func TestAChangeIsKnownAtOnce(t *testing.T) {
	_, config := servertest.Start(t, servertest.Config())
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c, told := newCache(t, client)
	pod := podOf(t, `volumes: [{name: c, configMap: {name: conf}}]`)
	c.SetPods([]*corev1.Pod{pod})
	if got, err := c.ConfigMap("shop", "conf"); got != nil || err != nil {
		t.Errorf("got %v, %v of what is not there, want neither", got, err)
	}
	maps := client.CoreV1().ConfigMaps("shop")
	for _, step := range []struct {
		what, want string
		do         func() error
	}{
		{"the object has come", "1", func() error {
			_, err := maps.Create(t.Context(), configMap("1"), metav1.CreateOptions{})
			return err
		}},
		{"the object has changed", "2", func() error {
			_, err := maps.Update(t.Context(), configMap("2"), metav1.UpdateOptions{})
			return err
		}},
		{"the object has gone", "", func() error { return maps.Delete(t.Context(), "conf", metav1.DeleteOptions{}) }},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		expect(t, told, step.what)
		got, err := c.ConfigMap("shop", "conf")
		if err != nil || (got == nil) != (step.want == "") || got != nil && got.Data["k"] != step.want {
			t.Errorf("%s: got %v, %v, want %q", step.what, got, err, step.want)
		}
	}
}

func TestAnOutageLeavesWhatIsKnown(t *testing.T) {
	client := fake.NewClientset(configMap("1"))
	c, told := newCache(t, client)
	c.SetPods([]*corev1.Pod{podOf(t, `volumes: [{name: c, configMap: {name: conf}}]`)})
	expect(t, told, "the object is there")
	client.PrependReactor("*", "*", func(kubetesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("connection refused")
	})
	if got, err := c.ConfigMap("shop", "conf"); err != nil || got == nil {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := c.ConfigMap("shop", "another"); err == nil {
		t.Errorf("got %v of what nobody knows, want an error: it may be there", got)
	}
}

func TestNobodyWatchesWhatNoPodNeeds(t *testing.T) {
	client := fake.NewClientset(configMap("1"))
	c, told := newCache(t, client)
	pod := podOf(t, `volumes: [{name: c, configMap: {name: conf}}]`)
	c.SetPods([]*corev1.Pod{pod})
	expect(t, told, "the object is there")
	ended := pod.DeepCopy()
	ended.Status.Phase = corev1.PodSucceeded
	c.SetPods([]*corev1.Pod{ended})
	for end := time.Now().Add(20 * time.Second); ; <-time.After(time.Millisecond) {
		c.mu.Lock()
		n := len(c.watches)
		c.mu.Unlock()
		if n == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("got %d watches, want none", n)
		}
	}
	if got, err := c.ConfigMap("shop", "conf"); err != nil || got == nil {
		t.Errorf("got %v, %v: what is not watched is asked for", got, err)
	}
}
