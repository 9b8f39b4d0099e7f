package addressing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
)

// A Ledger is where servers of one store write down what they are about to give
// out, so that of two that have chosen the same one takes another. A page of it
// is a key, which the store lets only one of them make.
//
// A page that has become old says nothing: by then its service is stored, and taken
// from the list of services, or it never will be. Any server may tear it out, as the one
// does that deletes its service.
type Ledger struct {
	Store interface {
		storage.Reader
		storage.Writer
	}
}

// ledgerPrefix is no resource's. Upstream keeps its books elsewhere, in
// /registry/ipaddresses and /registry/ranges, and makes them from the services if they are not there.
const ledgerPrefix = "/registry/groundup.io/given/"

// A page says who was given something, and when.
type page struct {
	Service string    `json:"service"`
	At      time.Time `json:"at"`
}

// outlived is how old a page must be to say nothing: longer than a request can
// last, by as much as the clocks of two servers may differ.
const outlived = 5 * time.Minute

// enter claims something for a service. It is not ok if another has just done so. What
// an old page was about may have been stored since the caller looked at the services: then
// again says to look once more.
func (l *Ledger) enter(ctx context.Context, what any, s *corev1.Service, now time.Time) (ok, again bool, err error) {
	if l == nil {
		return true, false, nil
	}
	key, own := keyOf(what), page{nameOf(s), now}
	value, err := json.Marshal(own)
	if err != nil {
		return false, false, err
	}
	_, err = l.Store.Put(ctx, key, value, 0)
	var conflict *storage.Conflict
	if !errors.As(err, &conflict) || conflict.Current == nil {
		return err == nil, false, err
	}
	var old page
	if err := json.Unmarshal(conflict.Current.Value, &old); err != nil {
		return false, false, fmt.Errorf("%s: %w", key, err)
	}
	if old.Service != own.Service && now.Sub(old.At) < outlived {
		return false, false, nil
	}
	_, err = l.Store.Put(ctx, key, value, conflict.Current.Revision)
	if errors.Is(err, storage.ErrConflict) {
		return false, false, nil
	}
	return err == nil, true, err
}

func keyOf(what any) string { return ledgerPrefix + fmt.Sprint(what) }

// leave tears out the page of a service that is stored, if there still is one.
func (l *Ledger) leave(ctx context.Context, what any, s *corev1.Service) error {
	if l == nil {
		return nil
	}
	r, err := l.Store.Get(ctx, keyOf(what))
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var found page
	if err := json.Unmarshal(r.Value, &found); err != nil {
		return fmt.Errorf("%s: %w", r.Key, err)
	}
	if found.Service != nameOf(s) {
		return nil
	}
	return l.tear(ctx, r)
}

// tear leaves a page alone on which somebody has written since, and is content if
// another has torn it out.
func (l *Ledger) tear(ctx context.Context, r storage.Record) error {
	if _, err := l.Store.Delete(ctx, r.Key, r.Revision); err != nil && !errors.Is(err, storage.ErrConflict) {
		return err
	}
	return nil
}

// Run tears out old pages whenever tick says so, until ctx is done. failed is told why
// they are still there.
func (l *Ledger) Run(ctx context.Context, tick <-chan time.Time, failed func(error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick:
			if err := l.clear(ctx, now); err != nil && ctx.Err() == nil {
				failed(err)
			}
		}
	}
}

func (l *Ledger) clear(ctx context.Context, now time.Time) error {
	pages, err := l.Store.List(ctx, ledgerPrefix, storage.ListOptions{})
	if err != nil {
		return err
	}
	for _, r := range pages.Records {
		var old page
		if err := json.Unmarshal(r.Value, &old); err != nil {
			return fmt.Errorf("%s: %w", r.Key, err)
		}
		if now.Sub(old.At) < outlived {
			continue
		}
		if err := l.tear(ctx, r); err != nil {
			return err
		}
	}
	return nil
}
