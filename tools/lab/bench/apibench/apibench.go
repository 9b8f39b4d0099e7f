// Package apibench measures our API server beside upstream's, with one client
// program, client-go, on the same machine in the same run, by turns.
//
// The client runs on the same machine and its processor time counts in all figures, for
// both alike. So it reads lists and watches to their last byte, and decodes neither.
//
// Both keep their data with fsync. Ours has etcd inside; theirs talks to an etcd
// that is counted with it, and that moves what is in its log to its database ten times a
// second, where ours does once. Client limits are lifted on both sides.
package apibench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/k8s-groundup/groundup/tools/lab/bench"
	"github.com/k8s-groundup/groundup/tools/lab/bench/controlplane"
)

// A Config says where the programs are.
type Config struct {
	Ours     string // kube-apiserver of step 02
	Upstream string // folder with upstream's kube-apiserver and etcd
	Runs     int    // how often each is started and measured
	Pods     int    // of the list that is measured; 10,000 in the issue of figures
	Watchers int    // of the largest crowd; 1,000

	// Parts are what is measured, by name: memory, create, crowd, list, watch. None
	// is all.
	Parts []string
}

func (c *Config) measures(part string) bool {
	return part == "" || len(c.Parts) == 0 || slices.Contains(c.Parts, part)
}

// The bounds are on ours divided by theirs.
var figures = []struct {
	part       string // empty for what every run measures
	what, unit string
	bound      float64
	of         func(*sample) float64
}{
	{"", "start → ready, fresh data", "ms", 0.1, func(s *sample) float64 { return s.ready }},
	{"memory", "resident memory, idle, with etcd", "MiB", 0.4, func(s *sample) float64 { return s.idle }},
	{"create", "create a pod, one after the other, p50", "ms", 0.5, func(s *sample) float64 { return s.create }},
	{"crowd", "1,000 pods by 16 clients", "ms", 0.5, func(s *sample) float64 { return s.crowd }},
	{"crowd", "processor time of that", "ms", 0, func(s *sample) float64 { return s.crowdCPU }},
	{"list", "list of many pods, JSON", "ms", 0.8, func(s *sample) float64 { return s.listJSON }},
	{"list", "list of many pods, protobuf", "ms", 0.8, func(s *sample) float64 { return s.listProtobuf }},
	{"watch", "write → seen by 1 watcher, p50", "ms", 0.5, func(s *sample) float64 { return s.watchOne }},
	{"watch", "write → seen by many watchers, p50", "ms", 0.5, func(s *sample) float64 { return s.watchMany }},
	{"watch", "resident memory, with the pods and watchers", "MiB", 0, func(s *sample) float64 { return s.full }},
}

// A sample is what one start of one server measured.
type sample struct {
	ready, idle, create, crowd, crowdCPU, listJSON, listProtobuf, watchOne, watchMany, full float64
}

// Run measures.
func Run(ctx context.Context, c Config) ([]bench.Row, error) {
	dir, err := os.MkdirTemp("", "gu-api-") // short: etcd's sockets are in it
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var ours, theirs []*sample
	for run := range c.Runs {
		for _, side := range []struct {
			name    string
			start   func(ctx context.Context, program, dir string) (*controlplane.Server, error)
			program string
			samples *[]*sample
		}{{"ours", controlplane.StartOurs, c.Ours, &ours}, {"upstream", controlplane.StartUpstream, c.Upstream, &theirs}} {
			here := filepath.Join(dir, fmt.Sprintf("%s%d", side.name[:1], run))
			s, err := measure(ctx, c, func() (*controlplane.Server, error) { return side.start(ctx, side.program, here) })
			if err != nil {
				return nil, fmt.Errorf("%s: %w", side.name, err)
			}
			*side.samples = append(*side.samples, s)
			if err := os.RemoveAll(here); err != nil {
				return nil, err
			}
		}
	}
	var rows []bench.Row
	for _, f := range figures {
		if !c.measures(f.part) {
			continue
		}
		rows = append(rows, bench.Summarize(f.what, f.unit, each(ours, f.of)).Against("upstream", each(theirs, f.of), f.bound))
	}
	return rows, nil
}

func each(samples []*sample, of func(*sample) float64) []float64 {
	var xs []float64
	for _, s := range samples {
		xs = append(xs, of(s))
	}
	return xs
}

func measure(ctx context.Context, c Config, start func() (*controlplane.Server, error)) (s *sample, err error) {
	srv, err := start()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, srv.Stop()) }()
	s = &sample{ready: milliseconds(srv.Ready)}
	l, err := newLoad(ctx, srv)
	if err != nil {
		return nil, err
	}
	for _, part := range []struct {
		name string
		run  func(context.Context, Config, *controlplane.Server, *sample) error
	}{{"memory", l.memory}, {"create", l.createOneByOne}, {"crowd", l.createCrowd}, {"list", l.list}, {"watch", l.watch}} {
		if !c.measures(part.name) {
			continue
		}
		if err := part.run(ctx, c, srv, s); err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return s, nil
}
