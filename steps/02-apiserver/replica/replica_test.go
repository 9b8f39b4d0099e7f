package replica_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/replica"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/server/servertest"
)

// A door is in front of a server. When it is shut, connections break, and who comes
// is counted and gets no answer.
type door struct {
	http.Handler
	shut  atomic.Bool
	tries atomic.Int64
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.shut.Load() {
		d.tries.Add(1)
		panic(http.ErrAbortHandler)
	}
	d.Handler.ServeHTTP(w, r)
}

func TestAnOutageIsOverAtOnce(t *testing.T) {
	inside, direct := servertest.Start(t, servertest.Config())
	d := &door{Handler: inside.Handler()}
	outside := httptest.NewServer(d)
	defer func() { outside.CloseClientConnections(); outside.Close() }()
	maps := kubernetes.NewForConfigOrDie(direct).CoreV1().ConfigMaps("default")
	write := func(name string) {
		t.Helper()
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"k": "v"}}
		if _, err := maps.Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	write("before")

	client := kubernetes.NewForConfigOrDie(&rest.Config{Host: outside.URL, QPS: -1})
	api := client.CoreV1().ConfigMaps("default")
	changed := make(chan struct{}, 100)
	trim := func(o runtime.Object) { o.(*corev1.ConfigMap).ManagedFields = nil }
	r := replica.New(client, replica.Select("", api.List, api.Watch), &corev1.ConfigMap{}, trim, func() { changed <- struct{}{} })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	defer func() { cancel(); <-done }()

	await := func(key string) {
		t.Helper()
		late := time.After(30 * time.Second)
		for r.Get(key) == nil {
			select {
			case <-changed:
			case <-late:
				t.Fatalf("%s is not in the replica: %v", key, r.List())
			}
		}
	}
	await("default/before")
	if cm := r.Get("default/before").(*corev1.ConfigMap); !r.HasSynced() || cm.ManagedFields != nil || cm.Data["k"] != "v" {
		t.Errorf("got %v, want the object without its managers", cm)
	}
	d.shut.Store(true)
	outside.CloseClientConnections()
	write("meanwhile")
	// After so many tries an informer of client-go would wait for half a minute.
	for late := time.After(30 * time.Second); d.tries.Load() < 6; {
		select {
		case <-late:
			t.Fatalf("it has tried only %d times", d.tries.Load())
		case <-time.After(10 * time.Millisecond):
		}
	}
	if len(r.List()) != 1 {
		t.Errorf("got %v during the outage, want what was known", r.List())
	}
	d.shut.Store(false)
	begin := time.Now()
	await("default/meanwhile")
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("it took %v until the server's return was noticed", took)
	}
}
