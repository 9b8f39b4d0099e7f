package registry

import (
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/memory"
)

// An abandoned store is one whose caller leaves after the next write. Then it does nothing
// for him any more, as etcd does not.
type abandoned struct {
	*memory.Store
	leave context.CancelFunc
}

func (a abandoned) Put(ctx context.Context, key string, value []byte, expected int64) (int64, error) {
	defer a.leave()
	return a.Store.Put(ctx, key, value, expected)
}

func (a abandoned) Delete(ctx context.Context, key string, expected int64) (int64, error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return a.Store.Delete(ctx, key, expected)
}

var _ storage.Store = abandoned{}

// An object that is marked and has no time left is ended, also if the client that asked
// for it does not wait: nobody else would.
func TestWhoLeavesLeavesNothingHalfDeleted(t *testing.T) {
	store := memory.New()
	timed := row()
	timed.GracePeriod = func(resource.Object, *int64) int64 { return 0 }
	if _, err := run(t, store, timed).Create(t.Context(), "ns", configMap("a"), Write{}); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	r := run(t, abandoned{store, leave}, timed)
	_, _, err := r.Delete(ctx, "ns", "a", &metav1.DeleteOptions{})
	if item, there := r.Get(t.Context(), "ns", "a", ""); !apierrors.IsNotFound(there) {
		t.Errorf("got %v, and the object is still there: %+v", err, item)
	}
}

// A stuck store deletes nothing.
type stuck struct{ *memory.Store }

func (stuck) Delete(ctx context.Context, _ string, _ int64) (int64, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// Who was not done in time is told so, and comes again: an unknown error would be our fault.
func TestACollectionThatIsNotDeletedInTime(t *testing.T) {
	r := run(t, stuck{memory.New()}, row())
	if _, err := r.Create(t.Context(), "ns", configMap("a"), Write{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.DeleteCollection(ctx, "ns", &internalversion.ListOptions{}, &metav1.DeleteOptions{}); !apierrors.IsTimeout(err) {
		t.Errorf("got %v, want a Timeout", err)
	}
}
