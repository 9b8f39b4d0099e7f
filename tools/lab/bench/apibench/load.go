package apibench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/bench/controlplane"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	namespace = "bench"
	protobuf  = runtime.ContentTypeProtobuf
	oneByOne  = 200
	crowdPods = 1000
	clients   = 16
	writes    = 100 // that watchers are to see
)

// A load is what clients do to a server.
type load struct {
	api kubernetes.Interface // protobuf, as upstream's components have it
}

// connect makes a client with connections of its own.
func connect(config *rest.Config, contentType string) (*kubernetes.Clientset, error) {
	c := rest.CopyConfig(config)
	c.QPS, c.ContentType, c.AcceptContentTypes = -1, contentType, contentType
	c.Dial = dialer()
	return kubernetes.NewForConfig(c)
}

func newLoad(ctx context.Context, s *controlplane.Server) (*load, error) {
	api, err := connect(s.Config, protobuf)
	if err != nil {
		return nil, err
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if _, err := api.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	// Upstream's is made by a controller, which does not run here.
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := api.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, err
	}
	return &load{api}, nil
}

func pod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "bench", "tier": "backend"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "app", Image: "example.com/app:v1", Args: []string{"--listen=:8080", "--verbose"},
			Env:       []corev1.EnvVar{{Name: "MODE", Value: "production"}, {Name: "REGION", Value: "here"}},
			Ports:     []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi")}},
		}}},
	}
}

// settle is how long a server that was just started is left alone before its
// memory is read.
const settle = 3 * time.Second

func (l *load) memory(ctx context.Context, _ Config, s *controlplane.Server, to *sample) (err error) {
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return ctx.Err()
	}
	to.idle, err = s.Memory()
	return err
}

func (l *load) createOneByOne(ctx context.Context, _ Config, _ *controlplane.Server, to *sample) error {
	var times []float64
	for i := range oneByOne {
		begin := time.Now()
		if _, err := l.api.CoreV1().Pods(namespace).Create(ctx, pod(fmt.Sprintf("one-%d", i)), metav1.CreateOptions{}); err != nil {
			return err
		}
		times = append(times, milliseconds(time.Since(begin)))
	}
	to.create = middle(times)
	return nil
}

func (l *load) createCrowd(ctx context.Context, _ Config, s *controlplane.Server, to *sample) error {
	before, err := s.CPU()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := createMany(ctx, s, "crowd", crowdPods); err != nil {
		return err
	}
	to.crowd = milliseconds(time.Since(begin))
	after, err := s.CPU()
	to.crowdCPU = milliseconds(after - before)
	return err
}

func createMany(ctx context.Context, s *controlplane.Server, prefix string, n int) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range clients {
		group.Go(func() error {
			api, err := connect(s.Config, protobuf)
			for i := next.Add(1); err == nil && int(i) <= n; i = next.Add(1) {
				_, err = api.CoreV1().Pods(namespace).Create(ctx, pod(fmt.Sprintf("%s-%d", prefix, i)), metav1.CreateOptions{})
			}
			return err
		})
	}
	return group.Wait()
}

// listings is how often the list is read.
const listings = 5

// list measures until the last byte is here; decoding is the client's.
func (l *load) list(ctx context.Context, c Config, s *controlplane.Server, to *sample) error {
	more := c.Pods
	for _, already := range []struct {
		part string
		pods int
	}{{"create", oneByOne}, {"crowd", crowdPods}} {
		if c.measures(already.part) {
			more -= already.pods
		}
	}
	if err := createMany(ctx, s, "more", more); err != nil {
		return err
	}
	for media, figure := range map[string]*float64{runtime.ContentTypeJSON: &to.listJSON, protobuf: &to.listProtobuf} {
		api, err := connect(s.Config, media)
		if err != nil {
			return err
		}
		var times []float64
		for range listings {
			begin := time.Now()
			body, err := api.CoreV1().RESTClient().Get().Namespace(namespace).Resource("pods").SetHeader("Accept", media).Stream(ctx)
			if err != nil {
				return err
			}
			n, err := io.Copy(io.Discard, body)
			body.Close()
			if err != nil {
				return err
			}
			if n < int64(c.Pods)*100 {
				return fmt.Errorf("a list of %d pods has %d bytes", c.Pods, n)
			}
			times = append(times, milliseconds(time.Since(begin)))
		}
		*figure = middle(times)
	}
	return nil
}

func (l *load) watch(ctx context.Context, c Config, s *controlplane.Server, to *sample) (err error) {
	if to.watchOne, err = l.deliver(ctx, s, 1); err != nil {
		return err
	}
	if to.watchMany, err = l.deliver(ctx, s, c.Watchers); err != nil {
		return err
	}
	to.full, err = s.Memory()
	return err
}

// deliver writes one object again and again and returns the median of how long
// it took until a watcher had seen a write, over all writes and watchers.
func (l *load) deliver(ctx context.Context, s *controlplane.Server, watchers int) (float64, error) {
	maps := l.api.CoreV1().ConfigMaps(namespace)
	name := fmt.Sprintf("watched-by-%d", watchers)
	if _, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	crowd := &crowd{written: make([]time.Time, writes)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const perConnection = 100
	for first := 0; first < watchers; first += perConnection {
		api, err := connect(s.Config, protobuf)
		if err != nil {
			return 0, err
		}
		for range min(perConnection, watchers-first) {
			w, err := api.CoreV1().ConfigMaps(namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
			if err != nil {
				return 0, err
			}
			crowd.add(w)
		}
	}
	for i := range writes {
		patch := fmt.Appendf(nil, `{"data":{"n":"%d"}}`, i)
		crowd.mark(i)
		if _, err := maps.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return 0, err
		}
	}
	return crowd.wait()
}

// A crowd is some watchers of one object.
type crowd struct {
	group errgroup.Group

	mu      sync.Mutex // guards the fields below
	written []time.Time
	times   []float64
}

func (c *crowd) mark(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written[n] = time.Now()
}

// add makes a watcher that stays until it has seen the last write.
func (c *crowd) add(w watch.Interface) {
	c.group.Go(func() error {
		defer w.Stop()
		for event := range w.ResultChan() {
			seen := time.Now()
			object, ok := event.Object.(*corev1.ConfigMap)
			if !ok {
				return fmt.Errorf("a watcher got %s: %v", event.Type, event.Object)
			}
			var n int
			if _, err := fmt.Sscan(object.Data["n"], &n); err != nil {
				continue // its creation
			}
			c.mu.Lock()
			c.times = append(c.times, milliseconds(seen.Sub(c.written[n])))
			c.mu.Unlock()
			if n == writes-1 {
				return nil
			}
		}
		return errors.New("a watch has ended before its time")
	})
}

func (c *crowd) wait() (float64, error) {
	err := c.group.Wait()
	return middle(c.times), err
}

func middle(times []float64) float64 {
	slices.Sort(times)
	return times[len(times)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
