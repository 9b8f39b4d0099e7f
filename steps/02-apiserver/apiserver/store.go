package apiserver

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/health"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/etcd"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/storage/etcd/embedded"
)

// A store is etcd, wherever it runs.
type store struct {
	store  database
	checks []health.Check
	died   <-chan error // nil if it is not ours
	close  func()
}

// A database is a store that one has to look after.
type database interface {
	storage.Store
	Alarms(ctx context.Context) ([]string, error)
	Size(ctx context.Context) (file, used int64, err error)
}

func openStore(ctx context.Context, f *flags, log *slog.Logger) (*store, error) {
	if len(f.etcdServers) > 0 {
		client, err := dial(f, f.etcdServers)
		if err != nil {
			return nil, err
		}
		return newStore(etcd.New(client), nil, func() { client.Close() }), nil
	}
	conf := embedded.Config{Dir: filepath.Join(f.dataDir, "etcd"), Log: log}
	for _, text := range f.etcdListen {
		u, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("--etcd-listen-client-urls: %w", err)
		}
		conf.Listen = append(conf.Listen, *u)
	}
	inside, err := embedded.Start(ctx, conf)
	if err != nil {
		return nil, err
	}
	return newStore(inside.Store(), inside.Failed(), inside.Stop), nil
}

func newStore(data database, died <-chan error, end func()) *store {
	s := &store{store: data, died: died, close: end}
	s.checks = []health.Check{
		{Name: "etcd", Ask: func(ctx context.Context) error {
			_, err := s.store.Revision(ctx)
			return err
		}},
		{Name: "etcd-alarms", Ready: true, Ask: func(ctx context.Context) error {
			alarms, err := s.store.Alarms(ctx)
			if err == nil && len(alarms) > 0 {
				err = fmt.Errorf("etcd refuses writes: %v", alarms)
			}
			return err
		}},
	}
	return s
}

// failed returns the error that ends etcd before ctx ends.
func (s *store) failed(ctx context.Context) error {
	select {
	case err := <-s.died:
		return fmt.Errorf("etcd has ended: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// dial connects to an etcd that is not ours.
func dial(f *flags, endpoints []string) (*clientv3.Client, error) {
	conf := clientv3.Config{Endpoints: endpoints, DialTimeout: 20 * time.Second, DialKeepAliveTime: 30 * time.Second,
		DialKeepAliveTimeout: 10 * time.Second, Logger: zap.NewNop()}
	if f.etcdCA != "" || f.etcdCert != "" {
		tls, err := transport.TLSInfo{TrustedCAFile: f.etcdCA, CertFile: f.etcdCert, KeyFile: f.etcdKey}.ClientConfig()
		if err != nil {
			return nil, fmt.Errorf("certificates for etcd: %w", err)
		}
		conf.TLS = tls
	}
	client, err := clientv3.New(conf)
	if err != nil {
		return nil, fmt.Errorf("connect to etcd at %v: %w", endpoints, err)
	}
	return client, nil
}
