// Package etcd is the store that Kubernetes keeps its objects in.
//
// etcd has just what the server needs: a transaction that compares the revision
// of a key before it writes, ranges over keys as of a revision, and watches that
// begin at one. So each method here is one call to it. Whether the client talks to
// a cluster or to a server in the same process (package embedded) is not seen.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
)

// A Store is a [storage.Store] in etcd.
type Store struct {
	client  *clientv3.Client
	watches atomic.Int64 // how many have been begun
}

var _ storage.Store = (*Store)(nil)

// New returns the store behind a client, which remains the caller's to close.
func New(client *clientv3.Client) *Store { return &Store{client: client} }

// Get implements storage.Reader.
func (s *Store) Get(ctx context.Context, key string) (storage.Record, error) {
	resp, err := s.client.Get(ctx, key)
	if err != nil {
		return storage.Record{}, known(err)
	}
	if len(resp.Kvs) == 0 {
		return storage.Record{}, storage.ErrNotFound
	}
	return record(resp.Kvs[0]), nil
}

// List implements storage.Reader.
func (s *Store) List(ctx context.Context, prefix string, o storage.ListOptions) (storage.Page, error) {
	resp, err := s.client.Get(ctx, max(prefix, o.Start), clientv3.WithRange(clientv3.GetPrefixRangeEnd(prefix)),
		clientv3.WithRev(o.Revision), clientv3.WithLimit(o.Limit))
	if err != nil {
		return storage.Page{}, known(err)
	}
	page := storage.Page{Revision: o.Revision, Remaining: resp.Count - int64(len(resp.Kvs)),
		Records: make([]storage.Record, 0, len(resp.Kvs))}
	if o.Revision == 0 {
		page.Revision = resp.Header.Revision
	}
	for _, kv := range resp.Kvs {
		page.Records = append(page.Records, record(kv))
	}
	return page, nil
}

// Revision implements storage.Reader. Every answer of etcd carries it, also the
// one that there is no such key.
func (s *Store) Revision(ctx context.Context) (int64, error) {
	resp, err := s.client.Get(ctx, "\x00", clientv3.WithCountOnly())
	if err != nil {
		return 0, known(err)
	}
	return resp.Header.Revision, nil
}

// Put implements storage.Writer.
func (s *Store) Put(ctx context.Context, key string, value []byte, expected int64) (int64, error) {
	return s.write(ctx, key, expected, clientv3.OpPut(key, string(value)))
}

// Delete implements storage.Writer.
func (s *Store) Delete(ctx context.Context, key string, expected int64) (int64, error) {
	if expected == 0 { // there is no revision 0, and etcd would delete nothing with success
		expected = -1
	}
	return s.write(ctx, key, expected, clientv3.OpDelete(key))
}

// write does op if the key is at the expected revision, and reads the key
// otherwise, in one transaction. A key that does not exist has revision 0.
func (s *Store) write(ctx context.Context, key string, expected int64, op clientv3.Op) (int64, error) {
	resp, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", expected)).
		Then(op).
		Else(clientv3.OpGet(key)).
		Commit()
	if err != nil {
		return 0, known(err)
	}
	if resp.Succeeded {
		return resp.Header.Revision, nil
	}
	conflict := &storage.Conflict{}
	if found := resp.Responses[0].GetResponseRange(); len(found.Kvs) > 0 {
		current := record(found.Kvs[0])
		conflict.Current = &current
	}
	return 0, conflict
}

// Watch implements storage.Watcher.
func (s *Store) Watch(ctx context.Context, prefix string, after int64, progress <-chan struct{}, deliver func(storage.Batch) error) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	// The client puts watches of equal metadata on one stream, and asks for the
	// progress of a stream. We want to know about this watch.
	ctx = metadata.AppendToOutgoingContext(ctx, "groundup-watch", strconv.FormatInt(s.watches.Add(1), 10))
	responses := s.client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(after+1))
	for {
		select {
		case <-progress:
			if err := s.client.RequestProgress(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("ask etcd for the progress of %s: %w", prefix, known(err))
			}
		case resp, open := <-responses:
			switch {
			case ctx.Err() != nil:
				return nil
			case !open:
				return errors.New("etcd has closed the watch of " + prefix)
			case resp.Err() != nil:
				return known(resp.Err())
			case len(resp.Events) == 0 && !resp.IsProgressNotify():
				continue
			}
			if err := deliver(Batch(resp.Events, resp.Header.Revision)); err != nil {
				return err
			}
		}
	}
}

// Batch makes a batch of the events of etcd's watch, and of how far the store was then.
func Batch(events []*clientv3.Event, revision int64) storage.Batch {
	b := storage.Batch{Revision: revision, Events: make([]storage.Event, 0, len(events))}
	for _, e := range events {
		b.Events = append(b.Events, storage.Event{Record: record(e.Kv), Deleted: e.Type == clientv3.EventTypeDelete})
	}
	if n := len(b.Events); n > 0 {
		// With events, the revision tells how far the store is, not the watch.
		b.Revision = b.Events[n-1].Revision
	}
	return b
}

// Compact implements storage.Compactor.
func (s *Store) Compact(ctx context.Context, revision int64) error {
	_, err := s.client.Compact(ctx, revision)
	return known(err)
}

func record(kv *mvccpb.KeyValue) storage.Record {
	return storage.Record{Key: string(kv.Key), Value: kv.Value, Revision: kv.ModRevision}
}

// known names the errors that the seam promises.
func known(err error) error {
	for _, e := range []struct{ theirs, ours error }{
		{rpctypes.ErrCompacted, storage.ErrCompacted},
		{rpctypes.ErrFutureRev, storage.ErrFuture},
		{rpctypes.ErrRequestTooLarge, storage.ErrTooLarge},
		{rpctypes.ErrNoSpace, storage.ErrFull},
	} {
		if err != nil && errors.Is(rpctypes.Error(err), e.theirs) {
			return e.ours
		}
	}
	return err
}
