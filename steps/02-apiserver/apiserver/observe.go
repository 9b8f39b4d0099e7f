package apiserver

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/audit"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/metrics"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/server"
)

// An observation is what is written down of what happens.
type observation struct {
	metrics   *metrics.Metrics
	observers []server.Observer
	close     func() error
}

func observe(f *flags, data *store, log *slog.Logger) (*observation, error) {
	m := metrics.New()
	o := &observation{metrics: m, observers: []server.Observer{m}, close: func() error { return nil }}
	size := func(pick func(file, used int64) int64) func() float64 {
		return func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			file, used, err := data.store.Size(ctx)
			if err != nil {
				return -1
			}
			return float64(pick(file, used))
		}
	}
	m.Gauge("apiserver_storage_size_bytes", "Size of the storage database file physically allocated in bytes.",
		map[string]string{"storage_cluster_id": "etcd-0"}, size(func(file, _ int64) int64 { return file }))
	m.Gauge("etcd_mvcc_db_total_size_in_use_in_bytes", "Total size of the underlying database logically in use in bytes.",
		nil, size(func(_, used int64) int64 { return used }))
	if f.auditLog == "" {
		return o, nil
	}
	var out io.Writer = os.Stdout
	if f.auditLog != "-" {
		file := &lumberjack.Logger{Filename: f.auditLog, MaxSize: f.auditSize, MaxBackups: f.auditBackups, MaxAge: f.auditAge}
		out, o.close = file, file.Close
	}
	o.observers = append(o.observers, &audit.Log{Out: out, Log: log, Now: time.Now})
	return o, nil
}

// count adds the number of objects of each resource.
func (o *observation) count(s *server.Server, table []resource.Resource) {
	for _, row := range table {
		reg := s.Registry(row.GroupResource())
		if reg == nil {
			continue
		}
		o.metrics.Gauge("apiserver_storage_objects", "Number of stored objects at the time of last check split by kind.",
			map[string]string{"resource": row.GroupResource().String()}, func() float64 { return float64(reg.Cache.Len()) })
	}
}
