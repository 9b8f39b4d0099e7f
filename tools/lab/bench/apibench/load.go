package apibench

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/k8s-groundup/groundup/tools/lab/bench/controlplane"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	protobufserializer "k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
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
	crowd, err := gather(ctx, s)
	if err != nil {
		return err
	}
	before, err := s.CPU()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := createMany(ctx, crowd, "crowd", crowdPods); err != nil {
		return err
	}
	to.crowd = milliseconds(time.Since(begin))
	after, err := s.CPU()
	to.crowdCPU = milliseconds(after - before)
	return err
}

// gather makes clients that are connected: how long that takes is another figure.
func gather(ctx context.Context, s *controlplane.Server) ([]kubernetes.Interface, error) {
	var crowd []kubernetes.Interface
	for range clients {
		api, err := connect(s.Config, protobuf)
		if err != nil {
			return nil, err
		}
		if _, err := api.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{}); err != nil {
			return nil, err
		}
		crowd = append(crowd, api)
	}
	return crowd, nil
}

func createMany(ctx context.Context, crowd []kubernetes.Interface, prefix string, n int) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for _, api := range crowd {
		group.Go(func() error {
			for i := next.Add(1); int(i) <= n; i = next.Add(1) {
				if _, err := api.CoreV1().Pods(namespace).Create(ctx, pod(fmt.Sprintf("%s-%d", prefix, i)), metav1.CreateOptions{}); err != nil {
					return err
				}
			}
			return nil
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
	crowd, err := gather(ctx, s)
	if err != nil {
		return err
	}
	if err := createMany(ctx, crowd, "more", more); err != nil {
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

// deliver writes one object again and again, each time when all have seen the last
// write, and returns the median of how long it took until a watcher had a
// write's last byte, over all writes and watchers.
func (l *load) deliver(ctx context.Context, s *controlplane.Server, watchers int) (float64, error) {
	maps := l.api.CoreV1().ConfigMaps(namespace)
	name := fmt.Sprintf("watched-by-%d", watchers)
	made, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	defer group.Wait()
	defer cancel()
	seen := make(chan float64, watchers)
	var begin atomic.Pointer[time.Time]
	const perConnection = 100
	for first := 0; first < watchers; first += perConnection {
		api, err := connect(s.Config, protobuf)
		if err != nil {
			return 0, err
		}
		for range min(perConnection, watchers-first) {
			body, err := watchObject(ctx, api, name, made.ResourceVersion)
			if err != nil {
				return 0, err
			}
			group.Go(func() error {
				defer body.Close()
				return eachFrame(body, func() { seen <- milliseconds(time.Since(*begin.Load())) })
			})
		}
	}
	var times []float64
	for i := range writes {
		patch := fmt.Appendf(nil, `{"data":{"n":"%d"}}`, i)
		now := time.Now()
		begin.Store(&now)
		if _, err := maps.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return 0, err
		}
		for range watchers {
			select {
			case t := <-seen:
				times = append(times, t)
			case <-ctx.Done():
				return 0, group.Wait()
			}
		}
	}
	return middle(times), nil
}

// watchObject is a watch as client-go makes it, up to where the bytes would be decoded.
func watchObject(ctx context.Context, api *kubernetes.Clientset, name, after string) (io.ReadCloser, error) {
	return api.CoreV1().RESTClient().Get().Namespace(namespace).Resource("configmaps").
		VersionedParams(&metav1.ListOptions{Watch: true, FieldSelector: "metadata.name=" + name, ResourceVersion: after}, scheme.ParameterCodec).
		SetHeader("Accept", protobuf+";stream=watch").Stream(ctx)
}

// eachFrame calls saw for every event, until the stream ends.
func eachFrame(body io.ReadCloser, saw func()) error {
	frames := protobufserializer.LengthDelimitedFramer.NewFrameReader(body)
	buffer := make([]byte, 64<<10)
	for {
		if _, err := frames.Read(buffer); err != nil {
			return fmt.Errorf("a watch has ended before its time: %w", err)
		}
		saw()
	}
}

func middle(times []float64) float64 {
	slices.Sort(times)
	return times[len(times)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
