package embedded

import (
	"context"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/etcd"
)

// A Store is the server's data. It is what any client of etcd sees, but for its
// watches: those are taken from where the events arise, and not after they have gone
// through the five goroutines of a client that could be on another machine.
type Store struct {
	*etcd.Store
	server *Server
}

var _ storage.Store = Store{}

// Store returns the server's data, until Stop.
func (s *Server) Store() Store { return Store{etcd.New(s.Client), s} }

// Watch implements storage.Watcher.
func (s Store) Watch(ctx context.Context, prefix string, after int64, progress <-chan struct{}, deliver func(storage.Batch) error) error {
	stream := s.server.etcd.Server.Watchable().NewWatchStream()
	defer stream.Close()
	end := clientv3.GetPrefixRangeEnd(prefix)
	id, err := stream.Watch(ctx, clientv3.AutoWatchID, []byte(prefix), []byte(end), after+1)
	if err != nil {
		return fmt.Errorf("watch %s: %w", prefix, err)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.server.etcd.Server.StopNotify():
			return errors.New("etcd has stopped")
		case <-progress:
			stream.RequestProgress(id)
		case resp := <-stream.Chan():
			if resp.CompactRevision != 0 {
				return storage.ErrCompacted
			}
			if err := deliver(etcd.Batch(resp.Events, resp.Revision)); err != nil {
				return err
			}
		}
	}
}
