//lint:file-ignore SA1019 upstream keeps these endpoints for the clients that look for the API server there

package bootstrap

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/internal/fakeserver"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

func config() Config {
	return Config{Services: netip.MustParsePrefix("10.96.0.0/12"), Address: netip.MustParseAddr("192.0.2.1"), Port: 6443}
}

func TestEnsure(t *testing.T) {
	s := &fakeserver.Server{}
	if err := Ensure(t.Context(), s, config()); err != nil {
		t.Fatal(err)
	}
	for of, want := range map[schema.GroupResource]int{namespaces: 4, priorityClasses: 2, services: 1, endpoints: 1} {
		if all, err := s.List(t.Context(), of, ""); err != nil || len(all) != want {
			t.Errorf("%s: got %d, %v, want %d", of, len(all), err, want)
		}
	}
	kubernetes, err := s.Get(t.Context(), services, "default", "kubernetes")
	if err != nil || kubernetes.(*corev1.Service).Spec.ClusterIP != "10.96.0.1" {
		t.Errorf("got %v, %v", kubernetes, err)
	}
	moved := config()
	moved.Address = netip.MustParseAddr("192.0.2.2")
	if err := Ensure(t.Context(), s, moved); err != nil {
		t.Fatal(err)
	}
	again, err := s.Get(t.Context(), services, "default", "kubernetes")
	if err != nil || again.GetUID() != kubernetes.GetUID() || again.GetResourceVersion() != kubernetes.GetResourceVersion() {
		t.Errorf("the second start wrote what was there: %v, %v", again, err)
	}
	e, err := s.Get(t.Context(), endpoints, "default", "kubernetes")
	if err != nil || e.(*corev1.Endpoints).Subsets[0].Addresses[0].IP != "192.0.2.2" {
		t.Errorf("the server has moved, and its endpoints say %v, %v", e, err)
	}
	moved.Address = netip.MustParseAddr("127.0.0.1")
	if got := subsets(moved); got != nil {
		t.Errorf("pods are sent to their own loopback: %v", got)
	}
	if err := Ensure(t.Context(), &fakeserver.Server{Err: errors.New("no store")}, config()); err == nil || err.Error() != `bootstrap: namespaces "default": no store` {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsDeletedIsMadeAgain(t *testing.T) {
	s := &fakeserver.Server{}
	if err := Ensure(t.Context(), s, config()); err != nil {
		t.Fatal(err)
	}
	s.Remove(services, "default", "kubernetes")
	s.Remove(endpoints, "default", "kubernetes")
	s.Remove(namespaces, "", corev1.NamespaceNodeLease)
	ctx, cancel := context.WithCancel(t.Context())
	tick, ended := make(chan time.Time), make(chan struct{})
	go func() {
		defer close(ended)
		Keep(ctx, s, config(), tick, func(err error) { t.Error(err) })
	}()
	tick <- time.Time{}
	tick <- time.Time{} // received: the first has been dealt with
	cancel()
	<-ended
	for of, name := range map[schema.GroupResource]string{services: "kubernetes", endpoints: "kubernetes", namespaces: corev1.NamespaceNodeLease} {
		namespace := metav1.NamespaceDefault
		if of == namespaces {
			namespace = ""
		}
		if _, err := s.Get(t.Context(), of, namespace, name); err != nil {
			t.Error(err)
		}
	}
}

// feed tells of what the test sends.
type feed map[schema.GroupResource]chan event

type event struct {
	obj  resource.Object
	gone bool
}

func (f feed) Follow(ctx context.Context, of schema.GroupResource, changed func(resource.Object, bool)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-f[of]:
			if !ok {
				return errors.New("the store is gone")
			}
			changed(e.obj, e.gone)
		}
	}
}

func TestNamespaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeserver.Server{}
		f := feed{namespaces: make(chan event), serviceAccounts: make(chan event), configMaps: make(chan event)}
		n := &Namespaces{Server: s, Follow: f, RootCA: "the certificate", Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
		ended := make(chan error, 1)
		go func() { ended <- n.Run(t.Context()) }()

		shop := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
		going := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "going"}, Status: corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating}}
		s.Add(namespaces, shop, going)
		for _, obj := range []resource.Object{shop, going, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "gone"}}} {
			f[namespaces] <- event{obj, false}
		}
		account := func() (resource.Object, error) { return s.Get(t.Context(), serviceAccounts, "shop", "default") }
		rootCA := func() *corev1.ConfigMap {
			t.Helper()
			m, err := s.Get(t.Context(), configMaps, "shop", "kube-root-ca.crt")
			if err != nil {
				t.Fatal(err)
			}
			return m.(*corev1.ConfigMap)
		}
		synctest.Wait()
		first, err := account()
		if err != nil || rootCA().Data["ca.crt"] != "the certificate" || rootCA().Annotations["kubernetes.io/description"] == "" {
			t.Fatalf("got %v, %v and %v", first, err, rootCA())
		}
		if all, err := s.List(t.Context(), serviceAccounts, ""); err != nil || len(all) != 1 {
			t.Errorf("got the accounts %v, %v: those of namespaces that go or are gone are of no use", all, err)
		}

		s.Remove(serviceAccounts, "shop", "default")
		f[serviceAccounts] <- event{first, true}
		changed := rootCA()
		changed.Data, changed.Annotations = map[string]string{"ca.crt": "another's", "x": "y"}, map[string]string{"mine": "a"}
		s.Add(configMaps, changed)
		f[configMaps] <- event{changed, false}
		synctest.Wait()
		if _, err := account(); err != nil {
			t.Errorf("the account was deleted, and not made again: %v", err)
		}
		if m := rootCA(); len(m.Data) != 1 || m.Data["ca.crt"] != "the certificate" || m.Annotations["mine"] != "a" {
			t.Errorf("the certificate was changed, and not put right: %v", m)
		}
		f[configMaps] <- event{rootCA(), false}
		version := rootCA().ResourceVersion
		synctest.Wait()
		if rootCA().ResourceVersion != version {
			t.Error("what is right was written again")
		}

		close(f[configMaps])
		if err := <-ended; err == nil || err.Error() != "the store is gone" {
			t.Errorf("got %v", err)
		}
	})
}

func TestAFailureIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &flaky{Server: &fakeserver.Server{}, failures: 3}
		shop := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
		s.Server.Add(namespaces, shop)
		f := feed{namespaces: make(chan event), serviceAccounts: make(chan event), configMaps: make(chan event)}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- (&Namespaces{Server: s, Follow: f, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}).Run(ctx)
		}()
		f[namespaces] <- event{shop, false}
		time.Sleep(time.Second) // the test's own clock
		synctest.Wait()
		if _, err := s.Get(t.Context(), serviceAccounts, "shop", "default"); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// flaky fails to create for some time.
type flaky struct {
	*fakeserver.Server
	failures int
}

func (s *flaky) Create(ctx context.Context, of schema.GroupResource, obj resource.Object) (resource.Object, error) {
	if s.failures--; s.failures >= 0 {
		return nil, errors.New("not now")
	}
	return s.Server.Create(ctx, of, obj)
}
