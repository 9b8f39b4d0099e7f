// Package embedded runs an etcd server inside of this process.
//
// A control plane with one API server needs no second process for its data. It
// is the real etcd: its files are those of `etcd --data-dir`, its log is
// replicated to nobody, and etcdctl can look in through its sockets. The API server
// itself calls it directly, without a socket or an encoding in between, which
// halves the time of a write.
package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

// maxSocketPath is the room that the kernel has for the name of a unix socket,
// see unix(7).
const maxSocketPath = 107

// A Config says where the data is.
type Config struct {
	Dir    string    // etcd's own, made if it is not there
	Listen []url.URL // for other clients, besides the socket client.sock in Dir
	NoSync bool      // leave out fsync: for tests, loses data when the machine dies
	Quota  int64     // bytes that the database may have, 0 for etcd's default of 2 GiB
	Log    *slog.Logger
}

// Server is etcd with a client in the same process.
type Server struct {
	Client   *clientv3.Client
	etcd     *embed.Etcd
	stopping atomic.Bool
}

// Socket is where `etcdctl --endpoints unix://…` finds the server of dir.
func Socket(dir string) string { return filepath.Join(dir, "client.sock") }

// Start opens the data and returns when it can be used. A directory of another
// running server is an error.
func Start(ctx context.Context, conf Config) (*Server, error) {
	if err := os.MkdirAll(conf.Dir, 0o700); err != nil {
		return nil, err
	}
	s := &Server{}
	c, err := config(conf, &s.stopping)
	if err != nil {
		return nil, err
	}
	etcd, err := embed.StartEtcd(c)
	if err != nil {
		return nil, fmt.Errorf("start etcd in %s: %w", conf.Dir, err)
	}
	s.etcd = etcd
	select {
	case <-etcd.Server.ReadyNotify():
	case err = <-etcd.Err():
	case <-etcd.Server.StopNotify():
		err = fmt.Errorf("it has stopped")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		s.etcd.Close()
		return nil, fmt.Errorf("wait for etcd in %s: %w", conf.Dir, err)
	}
	s.Client = v3client.New(etcd.Server)
	return s, nil
}

// Failed receives the error that ended the server, if one did.
func (s *Server) Failed() <-chan error { return s.etcd.Err() }

// Stop ends the client and the server, and blocks until the files are closed.
func (s *Server) Stop() {
	s.stopping.Store(true)
	s.Client.Close()
	s.etcd.Close()
}

func config(conf Config, stopping *atomic.Bool) (*embed.Config, error) {
	dir, err := filepath.Abs(conf.Dir)
	if err != nil {
		return nil, err
	}
	client, peer := Socket(dir), filepath.Join(dir, "peer.sock")
	if len(client) > maxSocketPath {
		return nil, fmt.Errorf("the path %s is longer than %d bytes, which is all that a unix socket may have: choose a shorter data directory", client, maxSocketPath)
	}
	for _, socket := range []string{client, peer} { // of a server that was killed
		if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
	c := embed.NewConfig()
	c.Dir = dir
	c.ListenClientUrls = append([]url.URL{{Scheme: "unix", Path: client}}, conf.Listen...)
	c.AdvertiseClientUrls = c.ListenClientUrls
	c.ListenPeerUrls = []url.URL{{Scheme: "unix", Path: peer}}
	// There is nobody to elect but ourselves, so do not wait for the others.
	c.TickMs, c.ElectionMs = 10, 50
	// Nor is there anybody who could fall behind: what is applied need not stay in memory.
	c.SnapshotCatchUpEntries = 100
	c.UnsafeNoFsync, c.QuotaBackendBytes = conf.NoSync, conf.Quota
	c.EnableGRPCGateway = false
	// What is acknowledged is in the log, and synced. How often it goes from there into the
	// database, which is synced too and keeps writers waiting, is only how long a
	// start after a crash takes.
	c.BackendBatchInterval = time.Second
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapLogger(conf.Log, stopping))
	return c, nil
}
