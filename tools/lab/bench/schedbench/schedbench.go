// Package schedbench measures our scheduler beside upstream's: each works off the
// same backlog of pods on the same hollow nodes, by turns, with its client's
// limits lifted.
//
// The API server is ours for both, and its share of the machine is the same. So
// is that of the one client that looks on. A rate is counted from the first thing
// that a scheduler does to a pod to the last bind: how long it takes to start is
// not in it. Nor is the telling of it, which may come after the binds: how long that
// takes is a figure of its own, and so is whether all was told.
package schedbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/k8s-groundup/groundup/tools/lab/bench"
	"github.com/k8s-groundup/groundup/tools/lab/bench/controlplane"
)

// A Config says where the programs are, and how much is measured.
type Config struct {
	APIServer string // kube-apiserver of step 02
	Ours      string // kube-scheduler of step 03
	Upstream  string // kube-scheduler of upstream
	Runs      int
	Pods      int   // of a backlog; 5,000 in the issue of figures
	Nodes     []int // 100 and 1,000
	Parts     []string
}

// A sample is what one scheduler did to one backlog.
type sample struct {
	perPod  float64 // milliseconds of the whole for each pod that was bound
	told    float64 // the same, until the event of the last one was there, too
	late    float64 // milliseconds from the last bind to the last event
	events  float64 // percent of the pods about which there is an event
	binding float64 // milliseconds of the scheduler's own processor time for each, until the last bind
	server  float64 // the API server's, until then
	cpu     float64 // the scheduler's own again, with the events
	memory  float64 // MiB, resident, when all were bound
	latency float64 // milliseconds from created to seen bound, p99, of pods that come steadily
}

var figures = []struct {
	what, unit string
	of         func(sample) float64
	bound      func(workload) float64
}{
	{"backlog, time for a pod", "ms", func(s sample) float64 { return s.perPod }, func(w workload) float64 { return w.bound }},
	{"backlog and its events, time for a pod", "ms", func(s sample) float64 { return s.told }, none},
	{"last event after the last bind", "ms", func(s sample) float64 { return s.late }, none},
	{"pods with an event", "%", func(s sample) float64 { return s.events }, none},
	{"its processor time for a pod, until the last bind", "ms", func(s sample) float64 { return s.binding }, none},
	{"the API server's for a pod, until then", "ms", func(s sample) float64 { return s.server }, none},
	{"its processor time for a pod, with its event", "ms", func(s sample) float64 { return s.cpu }, none},
	{"its memory afterwards", "MiB", func(s sample) float64 { return s.memory }, none},
	{"created → bound at 100/s, p99", "ms", func(s sample) float64 { return s.latency }, none},
}

func none(workload) float64 { return 0 }

// Run measures. A bound of 1/3 on the time for a pod is three times as many pods
// in a second.
func Run(ctx context.Context, c Config) (rows []bench.Row, err error) {
	dir, err := os.MkdirTemp("", "gu-sched-") // short: etcd's sockets are in it
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, w := range workloads {
		if !c.measures(w.name) {
			continue
		}
		for _, nodes := range c.Nodes {
			var sides [2][]sample
			for run := range c.Runs {
				for side, program := range []string{c.Ours, c.Upstream} {
					here := filepath.Join(dir, fmt.Sprintf("%s-%d-%d-%d", w.name, nodes, run, side))
					s, err := c.measure(ctx, here, program, w, nodes)
					if err != nil {
						return nil, fmt.Errorf("%s, %d nodes, %s: %w", w.name, nodes, program, err)
					}
					sides[side] = append(sides[side], s)
				}
			}
			rows = append(rows, summarize(w, nodes, sides)...)
		}
	}
	return rows, nil
}

func summarize(w workload, nodes int, sides [2][]sample) (rows []bench.Row) {
	for _, f := range figures {
		var xs [2][]float64
		for side, samples := range sides {
			for _, s := range samples {
				xs[side] = append(xs[side], f.of(s))
			}
		}
		if xs[0][0] == 0 {
			continue // not of this workload
		}
		what := fmt.Sprintf("%s, %d nodes: %s", w.name, nodes, f.what)
		rows = append(rows, bench.Summarize(what, f.unit, xs[0]).Against("upstream", xs[1], f.bound(w)))
	}
	return rows
}

func (c Config) measures(part string) bool {
	for _, p := range c.Parts {
		if p == part {
			return true
		}
	}
	return len(c.Parts) == 0
}

// measure starts an API server, fills it, and sets the scheduler on it.
func (c Config) measure(ctx context.Context, dir, program string, w workload, nodes int) (s sample, err error) {
	server, err := controlplane.StartOurs(ctx, c.APIServer, dir)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, server.Stop(), os.RemoveAll(dir)) }()
	l, err := newLoad(ctx, server.Config)
	if err != nil {
		return s, err
	}
	pods, err := l.fill(ctx, w, nodes, c.Pods)
	if err != nil {
		return s, fmt.Errorf("fill the cluster: %w", err)
	}
	touched, err := l.firstTouch(ctx)
	if err != nil {
		return s, err
	}
	before, err := server.CPU()
	if err != nil {
		return s, err
	}
	scheduler, err := start(dir, program, server.Kubeconfig)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, scheduler.Stop()) }()
	took, err := l.awaitBound(ctx, "backlog", pods, touched)
	if err != nil {
		return s, errors.Join(err, said(dir, program))
	}
	binding, err1 := scheduler.CPU()
	serving, err2 := server.CPU()
	late, events, err := l.awaitEvents(ctx, pods)
	cpu, err3 := scheduler.CPU()
	if err := errors.Join(err, err1, err2, err3); err != nil {
		return s, err
	}
	if s.memory, err = scheduler.Memory(); err != nil {
		return s, err
	}
	n := float64(pods)
	s.perPod, s.told = milliseconds(took)/n, milliseconds(took+late)/n
	s.binding, s.server, s.cpu = milliseconds(binding)/n, milliseconds(serving-before)/n, milliseconds(cpu)/n
	s.late, s.events = milliseconds(late), 100*float64(events)/n
	if w.steady {
		s.latency, err = l.steady(ctx)
	}
	return s, err
}

// configuration is that of both schedulers: nobody competes with them, nothing
// holds them back, and what has to do with objects that our API server does not
// keep yet (volumes, claims, controllers) is off.
const configuration = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: %s, contentType: application/vnd.kubernetes.protobuf, qps: 100000, burst: 100000}
leaderElection: {leaderElect: false}
profiles:
  - schedulerName: default-scheduler
    plugins:
      multiPoint:
        disabled: [{name: VolumeBinding}, {name: VolumeRestrictions}, {name: VolumeZone}, {name: NodeVolumeLimits}, {name: DynamicResources}]
    pluginConfig:
      - name: PodTopologySpread
        args: {defaultingType: List, defaultConstraints: []}
`

// start starts a scheduler.
func start(dir, program, kubeconfig string) (*controlplane.Processes, error) {
	config := filepath.Join(dir, "scheduler.yaml")
	text := fmt.Sprintf(configuration, kubeconfig)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p := &controlplane.Processes{}
	return p, p.Run(dir, program, "--config="+config, "--secure-port=0")
}

// said is the end of a scheduler's log.
func said(dir, program string) error {
	b, err := os.ReadFile(filepath.Join(dir, filepath.Base(program)+".log"))
	if err != nil {
		return err
	}
	return fmt.Errorf("the scheduler said:\n%s", b[max(0, len(b)-2000):])
}
