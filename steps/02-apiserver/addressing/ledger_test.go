package addressing

import (
	"context"
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/memory"
)

// Old pages go, whichever server wrote them, and what is on young ones stays taken.
func TestTheLedgerForgetsWhatIsOld(t *testing.T) {
	ledger := &Ledger{Store: memory.New()}
	begin := time.Now()
	give := func(name, ip string, at time.Time) error {
		a := allocator("10.96.0.0/24") // of a server that has seen nothing
		a.Ledger, a.Now = ledger, func() time.Time { return at }
		return admit(t, a, &server{}, service(name, address(ip)), nil, false)
	}
	if err := give("old", "10.96.0.5", begin); err != nil {
		t.Fatal(err)
	}
	if err := give("young", "10.96.0.6", begin.Add(4*time.Minute)); err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	tick, ended := make(chan time.Time), make(chan struct{})
	go func() {
		defer close(ended)
		ledger.Run(ctx, tick, func(err error) { t.Error(err) })
	}()
	now := begin.Add(6 * time.Minute)
	tick <- now
	tick <- now // the first is done
	stop()
	<-ended

	pages, err := ledger.Store.List(t.Context(), ledgerPrefix, storage.ListOptions{})
	if err != nil || len(pages.Records) != 1 || pages.Records[0].Key != ledgerPrefix+"10.96.0.6" {
		t.Errorf("got the pages %v (%v), want that of 10.96.0.6", pages.Records, err)
	}
	if err := give("next", "10.96.0.5", now); err != nil {
		t.Errorf("what was on an old page: %v", err)
	}
	if err := give("late", "10.96.0.6", now); err == nil {
		t.Error("what is on a young page was given out again")
	}
}

type away struct{ *memory.Store }

func (away) Get(context.Context, string) (storage.Record, error) {
	return storage.Record{}, errors.New("no leader")
}

// What can't be written down is the store's fault, and not forbidden.
func TestALedgerThatCannotBeReadForbidsNothing(t *testing.T) {
	a := allocator("10.96.0.0/24")
	a.Ledger = &Ledger{Store: away{memory.New()}}
	if err := admit(t, a, &server{}, nil, service("old", address("10.96.0.5")), false); !apierrors.IsInternalError(err) {
		t.Errorf("got %v, want an internal error", err)
	}
}
