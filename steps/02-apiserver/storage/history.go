package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// KeepHistory compacts the store at each tick to the revision that was newest
// at the tick before, until ctx is done. So a list that is read in pages and a
// watch that was interrupted have at least the time between two ticks.
//
// Upstream's peer is k8s.io/apiserver/pkg/storage/etcd3/compact.go.
func KeepHistory(ctx context.Context, s Store, tick <-chan time.Time, failed func(error)) {
	var last int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		if last > 0 {
			// Another server may have done it.
			if err := s.Compact(ctx, last); err != nil && !errors.Is(err, ErrCompacted) {
				failed(fmt.Errorf("compact the store to revision %d: %w", last, err))
			}
		}
		now, err := s.Revision(ctx)
		if err != nil {
			failed(fmt.Errorf("ask for the newest revision: %w", err))
			continue
		}
		last = now
	}
}
