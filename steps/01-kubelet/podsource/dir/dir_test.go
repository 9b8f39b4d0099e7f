package dir

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podsource/podsourcetest"
)

func TestConformance(t *testing.T) {
	podsourcetest.Run(t, func(t *testing.T) podsourcetest.Origin {
		dir := t.TempDir()
		s := &Source{Dir: dir, NodeName: "node-1", Log: slog.New(slog.DiscardHandler)}
		return podsourcetest.Origin{Source: s, Set: func(t *testing.T, pods ...*corev1.Pod) {
			wanted := map[string]bool{}
			for _, p := range pods {
				data, err := json.Marshal(p)
				if err != nil {
					t.Fatal(err)
				}
				wanted[p.Name+".json"] = true
				write(t, dir, p.Name+".json", string(data))
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if !wanted[e.Name()] {
					os.Remove(filepath.Join(dir, e.Name()))
				}
			}
		}}
	})
}

const web = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - name: web
    image: web:v1
`

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A watch is a source that runs, with its newest set and its log.
type watch struct {
	t  *testing.T
	mu sync.Mutex // guards the fields below
	// pods is nil before the first update.
	pods []*corev1.Pod
	log  bytes.Buffer
}

func (w *watch) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func start(t *testing.T, dir string) *watch {
	w := &watch{t: t}
	s := &Source{Dir: dir, NodeName: "node-1", Rescan: 50 * time.Millisecond, Log: slog.New(slog.NewTextHandler(w, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Run(ctx, func(pods []*corev1.Pod) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.pods = pods
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

// until polls for a condition on what was reported.
func (w *watch) until(what string, ok func(pods []*corev1.Pod, log string) bool) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		w.mu.Lock()
		pods, log := w.pods, w.log.String()
		w.mu.Unlock()
		if ok(pods, log) {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain for %s\npods: %v\nlog:\n%s", what, pods, log)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func images(pods []*corev1.Pod) string {
	var all []string
	for _, p := range pods {
		all = append(all, p.Spec.Containers[0].Image)
	}
	return strings.Join(all, " ")
}

func TestStaticPodsAreMarked(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", web)
	w := start(t, dir)
	w.until("the pod", func(pods []*corev1.Pod, _ string) bool { return len(pods) == 1 })
	p := w.pods[0]
	if p.Name != "web-node-1" || p.Namespace != "default" || p.Spec.NodeName != "node-1" || len(p.UID) != 32 {
		t.Errorf("got %s/%s on %s with UID %s", p.Namespace, p.Name, p.Spec.NodeName, p.UID)
	}
	if a := p.Annotations; a[annotationHash] != string(p.UID) || a[podsource.Annotation] != "file" || a[annotationSeen] == "" {
		t.Errorf("got annotations %v", a)
	}
	if tol := p.Spec.Tolerations; len(tol) != 1 || tol[0].Effect != corev1.TaintEffectNoExecute {
		t.Errorf("got tolerations %v", tol)
	}
}

// Somebody saves a pod with kubectl get -o yaml, and makes a static pod of it. Two pods
// with one UID would be one to the kubelet. (A UID is part of paths, too.)
func TestTheUIDOfAnotherPodIsNotTaken(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", strings.Replace(web, "{name: web}", "{name: web, uid: ../../1b4e28ba}", 1))
	w := start(t, dir)
	w.until("the pod", func(pods []*corev1.Pod, _ string) bool { return len(pods) == 1 })
	if uid := w.pods[0].UID; len(uid) != 32 {
		t.Errorf("got UID %s, want one of its own", uid)
	}
}

func TestSameFileIsSamePodInAnotherKubelet(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", web)
	a, b := start(t, dir), start(t, dir)
	one := func(pods []*corev1.Pod, _ string) bool { return len(pods) == 1 }
	a.until("the pod", one)
	b.until("the pod", one)
	if a.pods[0].UID != b.pods[0].UID {
		t.Errorf("UIDs %s and %s: a restarted kubelet would start the pod anew", a.pods[0].UID, b.pods[0].UID)
	}
}

func TestBrokenFileKeepsThePodAndIsReportedByLine(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", web)
	w := start(t, dir)
	w.until("the pod", func(pods []*corev1.Pod, _ string) bool { return images(pods) == "web:v1" })
	for _, c := range []struct{ name, text, report string }{
		{"half written", web[:len(web)-12], "web.yaml"},
		{"a field that does not exist", web + "    colour: red\n", "web.yaml:8: spec.containers[0].colour: unknown field"},
		{"an invalid name", strings.Replace(web, "- name: web", "- name: Web", 1), "web.yaml:6: spec.containers[0].name: Invalid value"},
		{"empty", "", "web.yaml:1: no pod in it"},
		{"an object of the API", strings.Replace(web, "spec:", "spec:\n  serviceAccountName: x", 1), "static pods may not reference serviceaccounts"},
	} {
		write(t, dir, "web.yaml", c.text)
		w.until(c.name+" to be reported", func(pods []*corev1.Pod, log string) bool {
			if images(pods) != "web:v1" {
				t.Fatalf("%s: the pod is gone", c.name)
			}
			return strings.Contains(log, c.report)
		})
	}
	write(t, dir, "web.yaml", strings.Replace(web, "web:v1", "web:v2", 1))
	w.until("the mended file", func(pods []*corev1.Pod, _ string) bool { return images(pods) == "web:v2" })
}

func TestFileThatStaysEmptyIsReported(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", "")
	w := start(t, dir)
	w.until("the empty file to be reported", func(_ []*corev1.Pod, log string) bool { return strings.Contains(log, "web.yaml:1: no pod in it") })
	time.Sleep(150 * time.Millisecond) // some rescans
	w.until("one report", func(_ []*corev1.Pod, log string) bool { return strings.Count(log, "no pod in it") == 1 })
}

func TestFilesThatAreNotManifestsAreIgnored(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, ".web.yaml.swp", "half of somethi")
	write(t, dir, "web.yaml", web)
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	w := start(t, dir)
	w.until("the pod", func(pods []*corev1.Pod, _ string) bool { return len(pods) == 1 })
	if log := w.log.String(); log != "" {
		t.Errorf("got complaints about files that are none of ours:\n%s", log)
	}
}

func TestDirectoryMayComeLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "manifests")
	w := start(t, dir)
	w.until("the empty set", func(pods []*corev1.Pod, _ string) bool { return pods != nil && len(pods) == 0 })
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "web.yaml", web)
	w.until("the pod", func(pods []*corev1.Pod, _ string) bool { return len(pods) == 1 })
}

func TestSecondFileWithTheSameNameIsRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.yaml", web)
	write(t, dir, "b.yaml", strings.Replace(web, "web:v1", "web:v2", 1))
	w := start(t, dir)
	w.until("one pod and a complaint", func(pods []*corev1.Pod, log string) bool {
		return images(pods) == "web:v1" && strings.Contains(log, "b.yaml") && strings.Contains(log, "is in")
	})
}

func TestCopyOfAManifestDoesNotStopItsPod(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "web.yaml", web)
	w := start(t, dir)
	w.until("the pod", func(pods []*corev1.Pod, _ string) bool { return images(pods) == "web:v1" })
	write(t, dir, "a.yaml", strings.Replace(web, "web:v1", "web:v2", 1))
	w.until("a complaint about the copy", func(pods []*corev1.Pod, log string) bool {
		if images(pods) != "web:v1" {
			t.Fatalf("got %s: the copy stopped the pod", images(pods))
		}
		return strings.Contains(log, "a.yaml") && strings.Contains(log, "web.yaml already")
	})
	if err := os.Remove(filepath.Join(dir, "web.yaml")); err != nil {
		t.Fatal(err)
	}
	w.until("the copy to take its place", func(pods []*corev1.Pod, _ string) bool { return images(pods) == "web:v2" })
}

func TestNamedPipeHoldsNothingUp(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "web.yaml", web)
	w := start(t, dir)
	w.until("the pod, and a word about the pipe", func(pods []*corev1.Pod, log string) bool {
		return len(pods) == 1 && strings.Contains(log, "pipe.yaml is not a regular file")
	})
}
