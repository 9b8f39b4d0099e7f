// Package schedagree lets two schedulers live through the same stories, each at an API
// server of its own, and tells where they come to different ends: nodes come, go and
// change, pods come, go, wait for something, and make others go.
//
// So that the ends can be the same, nothing is left to chance but the stories: the one
// score is how much a pod likes a node, which is different for each node; no two pods
// have one priority; and who may end others may run on one node alone. What scores are
// and who is chosen else is compared elsewhere (tools/upstream/schedulertest). What is
// compared here is what happens between decisions: who waits, why, and until when.
package schedagree

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/k8s-groundup/groundup/tools/lab/bench/controlplane"
)

// A Config says what is compared.
type Config struct {
	APIServer    string // kube-apiserver of step 03, which both work at
	Ours, Theirs string // kube-schedulers
	Stories      int
	Steps        int    // of a story
	Seed         uint64 // of chance
	Workers      int    // stories at a time
}

// A Difference is where a story has two ends.
type Difference struct {
	Story uint64   // the seed of it alone
	Steps []string // until then
	Lines []string // what is not the same
}

// Told is what the stories were about, so that nobody believes in stories of nothing.
type Told struct {
	Steps     int
	Bound     int // pods that got a node
	Waited    int // reasons for which pods got none
	Nominated int // pods for which others had to go
	Meant     int // stories that end with a difference that is meant
}

func (t *Told) add(o Told) {
	t.Steps, t.Bound, t.Waited, t.Nominated, t.Meant = t.Steps+o.Steps, t.Bound+o.Bound, t.Waited+o.Waited, t.Nominated+o.Nominated, t.Meant+o.Meant
}

// Run tells all stories. No story depends on another: the one that a Difference names is
// told again by itself with Stories 1 and its seed.
func Run(ctx context.Context, c Config) (found []Difference, told Told, err error) {
	dir, err := os.MkdirTemp("", "gu-agree-") // short: etcd's sockets are in it
	if err != nil {
		return nil, told, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	seeds := make(chan uint64, c.Stories)
	for i := range c.Stories {
		seeds <- c.Seed + uint64(i)
	}
	close(seeds)
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	for w := range min(c.Workers, c.Stories) {
		group.Go(func() (err error) {
			var sides [2]*cluster
			for i, program := range []string{c.Ours, c.Theirs} {
				if sides[i], err = startCluster(ctx, c.APIServer, program, filepath.Join(dir, fmt.Sprint(w, i))); err != nil {
					return err
				}
				defer func() { err = errors.Join(err, sides[i].stop()) }()
			}
			for seed := range seeds {
				d, t, err := tell(ctx, sides, seed, c.Steps)
				if err != nil {
					return fmt.Errorf("story %d: %w", seed, err)
				}
				mu.Lock()
				told.add(t)
				if d != nil {
					found = append(found, *d)
				}
				mu.Unlock()
			}
			return nil
		})
	}
	err = group.Wait()
	slices.SortFunc(found, func(a, b Difference) int { return len(a.Steps) - len(b.Steps) })
	return found, told, err
}

// tell tells one story to both sides, up to the step after which they differ.
func tell(ctx context.Context, sides [2]*cluster, seed uint64, steps int) (d *Difference, told Told, err error) {
	s := &story{rand: rand.New(rand.NewPCG(seed, 0)), name: fmt.Sprintf("s%d", seed)}
	defer func() {
		for _, side := range sides {
			err = errors.Join(err, side.clear(context.WithoutCancel(ctx)))
		}
	}()
	seen := map[string]bool{}
	var so []string
	for range steps {
		step := s.next()
		so = append(so, step.text)
		for _, side := range sides {
			if err := step.do(ctx, side); err != nil {
				return nil, told, fmt.Errorf("%s: %w", step.text, err)
			}
		}
		told.Steps++
		state, lines, err := settle(ctx, sides)
		if err != nil {
			return nil, told, err
		}
		if len(lines) > 0 && !slices.ContainsFunc(lines, unmeant) {
			told.Meant++
			return nil, told, nil
		}
		if len(lines) > 0 {
			return &Difference{Story: seed, Steps: so, Lines: lines}, told, nil
		}
		for name, fate := range state {
			if text := name + fate; !seen[text] {
				seen[text] = true
				told.count(fate)
			}
		}
	}
	return nil, told, nil
}

func (t *Told) count(fate string) {
	for _, c := range []struct {
		of   *int
		sign string
	}{{&t.Bound, "on n"}, {&t.Waited, corev1.PodReasonUnschedulable}, {&t.Nominated, "nominated"}} {
		if strings.Contains(fate, c.sign) {
			*c.of++
		}
	}
}

const (
	// calm is how long a step has to take effect: a pod that has just been refused is
	// looked at again after a second.
	calm = 2200 * time.Millisecond
	// slow is after how long an effect is said to be missing.
	slow = 15 * time.Second
)

// settle waits until both sides look the same and every pod has been looked at. It returns
// how they look, and what is different if they don't come to it.
func settle(ctx context.Context, sides [2]*cluster) (state map[string]string, lines []string, err error) {
	time.Sleep(calm)
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		var states [2]map[string]string
		for i, side := range sides {
			if states[i], err = side.state(ctx); err != nil {
				return nil, nil, err
			}
		}
		if lines = apart(states[0], states[1]); len(lines) == 0 && !slices.Contains(slices.Collect(maps.Values(states[0])), unknown) {
			return states[0], nil, nil
		}
		if time.Since(begin) > slow {
			if len(lines) == 0 {
				lines = []string{"a pod has not been looked at by either"}
			}
			return states[0], lines, nil
		}
	}
}

// unmeant: a pod that others refuse may be helped by a node that comes or changes its zone,
// and one that wants to be with others of its kind by the end of the last of them, as the
// first of a new group. Upstream lets it wait until its time is over
// (plugins.InterPodAffinity.Helps). And it does not look again at a preemptor of which a
// victim went before the others were told, until the next one has gone, when there may be
// room already: who is about to end counts for nothing in a spread.
func unmeant(line string) bool {
	before, theirs, _ := strings.Cut(line, "\n    theirs ")
	_, ours, _ := strings.Cut(before, "    ours   ")
	node, waits := strings.CutPrefix(theirs, "nominated to ")
	return !strings.Contains(theirs, "affinity rules") && !(waits && ours == "on "+node)
}

func apart(ours, theirs map[string]string) (lines []string) {
	names := maps.Clone(ours)
	maps.Copy(names, theirs)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if ours[name] != theirs[name] {
			lines = append(lines, fmt.Sprintf("%s\n    ours   %s\n    theirs %s", name, ours[name], theirs[name]))
		}
	}
	return lines
}

// A cluster is an API server with a scheduler, and no machine at all.
type cluster struct {
	dir, program string
	server       *controlplane.Server
	scheduler    controlplane.Processes
	api          kubernetes.Interface
}

// startCluster leaves nothing running if it fails.
func startCluster(ctx context.Context, server, scheduler, dir string) (c *cluster, err error) {
	c = &cluster{dir: dir, program: scheduler}
	if c.server, err = controlplane.StartOurs(ctx, server, dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	config := rest.CopyConfig(c.server.Config)
	config.QPS = -1
	if c.api, err = kubernetes.NewForConfig(config); err != nil {
		return c, err
	}
	if err := os.WriteFile(c.file(), fmt.Appendf(nil, configuration, c.server.Kubeconfig), 0o600); err != nil {
		return c, err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := c.api.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return c, err
	}
	return c, c.start()
}

func (c *cluster) file() string { return filepath.Join(c.dir, "scheduler.yaml") }

func (c *cluster) start() error {
	return c.scheduler.Run(c.dir, c.program, "--config="+c.file(), "--secure-port=0")
}

// restart lets the scheduler forget what it had in mind.
func (c *cluster) restart(context.Context) error {
	return errors.Join(c.scheduler.Stop(), c.start())
}

// configuration leaves one score, no longer pause than a second, and nothing that has to
// do with objects that our API server does not keep yet.
const configuration = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: %s, qps: 100000, burst: 100000}
leaderElection: {leaderElect: false}
podInitialBackoffSeconds: 1
podMaxBackoffSeconds: 1
profiles:
  - schedulerName: default-scheduler
    plugins:
      multiPoint:
        disabled: [{name: VolumeBinding}, {name: VolumeRestrictions}, {name: VolumeZone}, {name: NodeVolumeLimits}, {name: DynamicResources}]
      score:
        disabled: [{name: "*"}]
        enabled: [{name: NodeAffinity, weight: 1}]
    pluginConfig:
      - name: PodTopologySpread
        args: {defaultingType: List, defaultConstraints: []}
`

func (c *cluster) stop() error {
	err := c.scheduler.Stop()
	return errors.Join(err, c.server.Stop())
}

// clear takes away what a story has left.
func (c *cluster) clear(ctx context.Context) error {
	now := metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}
	return errors.Join(
		c.api.CoreV1().Pods(metav1.NamespaceDefault).DeleteCollection(ctx, now, metav1.ListOptions{}),
		c.api.CoreV1().Nodes().DeleteCollection(ctx, now, metav1.ListOptions{}),
		c.api.PolicyV1().PodDisruptionBudgets(metav1.NamespaceDefault).DeleteCollection(ctx, now, metav1.ListOptions{}),
		c.api.SchedulingV1().PriorityClasses().DeleteCollection(ctx, now, metav1.ListOptions{LabelSelector: ofStories}),
	)
}

// unknown is the state of a pod that nobody has said anything about yet.
const unknown = "unknown"

// state says of each pod what became of it.
func (c *cluster) state(ctx context.Context) (map[string]string, error) {
	pods, err := c.api.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	state := map[string]string{}
	for i := range pods.Items {
		state[pods.Items[i].Name] = fate(&pods.Items[i])
	}
	return state, nil
}

func fate(p *corev1.Pod) string {
	var parts []string
	if p.DeletionTimestamp != nil {
		parts = append(parts, "is to end")
	}
	if p.Spec.NodeName != "" {
		parts = append(parts, "on "+p.Spec.NodeName)
	}
	i := slices.IndexFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodScheduled })
	switch {
	case p.Spec.NodeName != "":
	case p.Status.NominatedNodeName != "":
		// What else is said depends on when it was last looked at. Upstream does not look at
		// all until a victim has gone, if one went while others were still to be told.
		parts = append(parts, "nominated to "+p.Status.NominatedNodeName)
	case i >= 0:
		parts = append(parts, p.Status.Conditions[i].Reason+": "+p.Status.Conditions[i].Message)
	case p.Spec.SchedulerName == corev1.DefaultSchedulerName && p.DeletionTimestamp == nil:
		return unknown
	}
	for _, cond := range p.Status.Conditions {
		if cond.Type == corev1.DisruptionTarget {
			parts = append(parts, cond.Reason+": "+cond.Message)
		}
	}
	return strings.Join(parts, ", ")
}
