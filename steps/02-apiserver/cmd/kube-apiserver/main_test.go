package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

var crashFor = flag.Duration("crash", 8*time.Second, "how `long` the server is killed and started again")

// TestMain lets the test's own binary be the server, so that it can be killed.
func TestMain(m *testing.M) {
	if os.Getenv("BE_THE_SERVER") != "" {
		main()
		return
	}
	flag.Parse()
	os.Exit(m.Run())
}

// A process is a server that can be killed and started again.
type process struct {
	t    *testing.T
	dir  string
	args []string
	cmd  *exec.Cmd
}

func newProcess(t *testing.T, args ...string) *process {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	dir := t.TempDir()
	p := &process{t: t, dir: dir, args: append([]string{"--data-dir", dir, "--secure-port", strconv.Itoa(l.Addr().(*net.TCPAddr).Port)}, args...)}
	t.Cleanup(p.kill)
	return p
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(os.Args[0], p.args...)
	p.cmd.Env = append(os.Environ(), "BE_THE_SERVER=1")
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) kill() {
	if p.cmd != nil && p.cmd.Process != nil {
		_ = p.cmd.Process.Kill() // it may have ended
		_ = p.cmd.Wait()         // "signal: killed"
	}
}

// client waits until the server is ready.
func (p *process) client(ctx context.Context) *kubernetes.Clientset {
	p.t.Helper()
	for {
		conf, err := clientcmd.BuildConfigFromFlags("", filepath.Join(p.dir, "admin.kubeconfig"))
		if err == nil {
			conf.QPS, conf.Timeout = -1, 20*time.Second // the first write waits for the schemas
			c, err := kubernetes.NewForConfig(conf)
			if err != nil {
				p.t.Fatal(err)
			}
			if c.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil {
				return c
			}
		}
		pause(p.t, ctx)
	}
}

func pause(t *testing.T, ctx context.Context) {
	t.Helper()
	select {
	case <-ctx.Done():
		t.Fatal("the server was not ready in time")
	case <-time.After(20 * time.Millisecond):
	}
}

// What was acknowledged is there, no resource version goes backwards, and a
// watch that is resumed neither misses an event nor has one twice: whenever the
// server is killed. Each of some counters has a writer and two watchers.
func TestNothingIsLostWhenTheServerIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds")
	}
	ctx, cancel := context.WithTimeout(t.Context(), *crashFor+2*time.Minute)
	defer cancel()
	p := newProcess(t)
	p.start()
	c := p.client(ctx)
	const counters, watchersOfEach = 4, 2
	stop := make(chan struct{})
	var writing, wait sync.WaitGroup
	var acknowledged [counters]int
	var sights []*sight
	watching, endWatch := context.WithCancel(ctx)
	for i := range counters {
		name := fmt.Sprintf("counter-%d", i)
		made, err := c.CoreV1().ConfigMaps("default").Create(ctx, numbered(name, 0), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		writing.Go(func() { acknowledged[i] = countUp(t, ctx, c, name, stop) })
		for range watchersOfEach {
			seen := &sight{name: name, version: made.ResourceVersion}
			sights = append(sights, seen)
			wait.Go(func() { seen.follow(t, watching, c) })
		}
	}

	kills := 0
	for end := time.Now().Add(*crashFor); time.Now().Before(end); kills++ {
		time.Sleep(time.Duration(100+kills%7*90) * time.Millisecond) // some time between two accidents
		p.kill()
		p.start()
		p.client(ctx)
	}
	close(stop)
	writing.Wait()
	relists := 0
	for i, seen := range sights {
		last, acknowledged := waitForCounter(t, ctx, c, seen), acknowledged[i/watchersOfEach]
		if last < acknowledged || acknowledged == 0 {
			t.Errorf("%s is %d, and %d was acknowledged", seen.name, last, acknowledged)
		}
	}
	endWatch()
	wait.Wait()
	for _, seen := range sights {
		relists += seen.relists
	}
	t.Logf("%d kills, %v writes, %d lists anew", kills, acknowledged, relists)
	if kills == 0 {
		t.Error("nothing has been tried")
	}
}

func numbered(name string, n int) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"n": strconv.Itoa(n)}}
}

// countUp is the only writer of a counter. It returns the highest number that was acknowledged.
func countUp(t *testing.T, ctx context.Context, c *kubernetes.Clientset, name string, stop <-chan struct{}) (acknowledged int) {
	maps := c.CoreV1().ConfigMaps("default")
	version := int64(0)
	for n := 1; ; {
		select {
		case <-stop:
			return acknowledged
		case <-ctx.Done():
			return acknowledged
		default:
		}
		got, err := maps.Update(ctx, numbered(name, n), metav1.UpdateOptions{}) // whatever version it has: a lost answer is repeated
		if err != nil {
			if apierrors.IsNotFound(err) || apierrors.IsInvalid(err) {
				t.Errorf("write %d: %v", n, err)
				return acknowledged
			}
			continue
		}
		v, err := strconv.ParseInt(got.ResourceVersion, 10, 64)
		if err != nil || v < version {
			t.Errorf("write %d: resource version %s after %d (%v)", n, got.ResourceVersion, version, err)
		}
		version, acknowledged = v, n
		n++
	}
}

// A sight is what a watcher has seen, over all its watches.
type sight struct {
	name string

	mu      sync.Mutex // guards the fields below
	version string
	last    int
	relists int
}

// follow watches from where it was, and lists again when it is told to.
func (s *sight) follow(t *testing.T, ctx context.Context, c *kubernetes.Clientset) {
	maps := c.CoreV1().ConfigMaps("default")
	for ctx.Err() == nil {
		w, err := maps.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + s.name, ResourceVersion: s.version})
		if err != nil {
			continue
		}
		gone := false
		for e := range w.ResultChan() {
			if e.Type == watch.Error {
				gone = apierrors.IsResourceExpired(apierrors.FromObject(e.Object))
				break
			}
			s.take(t, e.Object.(*corev1.ConfigMap), true)
		}
		w.Stop()
		if gone {
			now, err := maps.List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + s.name})
			if err == nil && len(now.Items) == 1 {
				s.relists++
				s.take(t, &now.Items[0], false)
				s.version = now.ResourceVersion // not older than what the server remembers
			}
		}
	}
}

// take notes one state. In a watch, the next number has to be the next event.
func (s *sight) take(t *testing.T, cm *corev1.ConfigMap, inWatch bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := strconv.Atoi(cm.Data["n"])
	switch {
	case err != nil:
		t.Error(err)
	case inWatch && n != s.last+1:
		t.Errorf("a watch of %s went from %d to %d", s.name, s.last, n)
	case n < s.last:
		t.Errorf("a list went from %d back to %d", s.last, n)
	}
	s.last, s.version = n, cm.ResourceVersion
}

// waitForCounter returns the last number, when the watcher has seen it too.
func waitForCounter(t *testing.T, ctx context.Context, c *kubernetes.Clientset, s *sight) int {
	for {
		now, err := c.CoreV1().ConfigMaps("default").Get(ctx, s.name, metav1.GetOptions{})
		if err == nil {
			n, err := strconv.Atoi(now.Data["n"])
			if err != nil {
				t.Fatal(err)
			}
			s.mu.Lock()
			seen := s.last
			s.mu.Unlock()
			if seen == n {
				return n
			}
		}
		pause(t, ctx)
	}
}

// etcd runs `kube-apiserver etcd` with arguments.
func etcd(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"etcd"}, args...)...)
	cmd.Env = append(os.Environ(), "BE_THE_SERVER=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("etcd %v: %v\n%s", args, err, out)
	}
}

func TestDataIsSnapshotAndRestored(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p := newProcess(t)
	p.start()
	c := p.client(ctx)
	maps := c.CoreV1().ConfigMaps("default")
	if _, err := maps.Create(ctx, numbered("kept", 1), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "snapshot.db")
	for _, args := range [][]string{{"snapshot", file, "--data-dir", p.dir}, {"defrag", "--data-dir", p.dir}} {
		etcd(t, args...)
	}
	if err := maps.Delete(ctx, "kept", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	p.kill()
	if err := os.RemoveAll(filepath.Join(p.dir, "etcd")); err != nil {
		t.Fatal(err)
	}
	etcd(t, "restore", file, "--data-dir", p.dir)
	p.start()
	p.client(ctx)
	if _, err := maps.Get(ctx, "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("after the restore: %v", err)
	}
}
