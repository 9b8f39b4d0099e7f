package emptying_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/emptying"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/rows"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/server/servertest"
)

// A namespace that is deleted through a real server goes, when what is in it has gone.
func TestNamespaceOfAServer(t *testing.T) {
	s, conf := servertest.Start(t, servertest.Config())
	c := kubernetes.NewForConfigOrDie(conf)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	e := &emptying.Emptier{Objects: emptying.Of(s.Objects(), s.Registry), Follow: s, Rows: rows.All(), Log: slog.New(slog.DiscardHandler), Again: time.Millisecond}
	go func() { ended <- e.Run(ctx) }()
	defer func() { cancel(); <-ended }()

	if _, err := c.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	kept := metav1.ObjectMeta{Name: "kept", Finalizers: []string{"example.com/backup"}}
	for _, meta := range []metav1.ObjectMeta{{Name: "plain"}, kept} {
		if _, err := c.CoreV1().ConfigMaps("team").Create(ctx, &corev1.ConfigMap{ObjectMeta: meta}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.CoreV1().Namespaces().Delete(ctx, "team", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	until(t, "the config map that nothing keeps is gone", func() bool {
		_, err := c.CoreV1().ConfigMaps("team").Get(ctx, "plain", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	ns, err := c.CoreV1().Namespaces().Get(ctx, "team", metav1.GetOptions{})
	if err != nil || ns.Status.Phase != corev1.NamespaceTerminating {
		t.Fatalf("with something in it: got %v, %v, want it terminating", ns, err)
	}

	patch := []byte(`{"metadata":{"finalizers":null}}`)
	if _, err := c.CoreV1().ConfigMaps("team").Patch(ctx, "kept", "application/merge-patch+json", patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "the namespace is gone", func() bool {
		_, err := c.CoreV1().Namespaces().Get(ctx, "team", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) { return done(), nil })
	if err != nil {
		t.Fatalf("not within 10s: %s", what)
	}
}
