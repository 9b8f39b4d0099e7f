// Package kubeletagree lets two kubelets run the same pods, each on a node of its own of
// the same cluster, and tells where it does not come to the same: what is written into the
// pods' status, which events there are, and what the containers wrote.
//
// Every story is the life of one pod, which is made up: what its containers do, how they
// are looked after, what they lack, and what somebody does to it meanwhile. The two pods
// have the same name, in a namespace for each kubelet.
package kubeletagree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// A Config says what is compared.
type Config struct {
	API          *rest.Config // of the cluster, as its administrator
	Ours, Theirs string       // names of nodes
	Stories      int
	Steps        int    // of a story, at most
	Seed         uint64 // of chance
	Workers      int    // stories at a time

	// Trace, when set, is written what changes on each side, as it does.
	Trace io.Writer
}

// A Difference is where a story does not come to the same.
type Difference struct {
	Story uint64   // the seed of it alone
	Steps []string // until then
	Lines []string // what is not the same
}

// Told is what the stories were about, so that nobody believes in stories of nothing.
type Told struct {
	Steps int
	Seen  map[string]int // reasons of states, conditions and events, by how many pods had them
}

// Run tells all stories. No story depends on another: the one that a Difference names is
// told again by itself with Stories 1 and its seed.
func Run(ctx context.Context, c Config) (found []Difference, told Told, err error) {
	config := rest.CopyConfig(c.API)
	config.QPS = -1
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, told, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var sides [2]*side
	for i, node := range []string{c.Ours, c.Theirs} {
		if sides[i], err = newSide(ctx, api, config, []string{"ours", "theirs"}[i], node); err != nil {
			return nil, told, err
		}
	}
	told.Seen = map[string]int{}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.Workers)
	for i := range c.Stories {
		group.Go(func() error {
			d, steps, seen, err := c.tell(ctx, sides, c.Seed+uint64(i))
			if err != nil {
				return fmt.Errorf("story %d: %w", c.Seed+uint64(i), err)
			}
			mu.Lock()
			defer mu.Unlock()
			told.Steps += steps
			for reason := range seen {
				told.Seen[reason]++
			}
			if d != nil {
				found = append(found, *d)
			}
			return nil
		})
	}
	err = group.Wait()
	slices.SortFunc(found, func(a, b Difference) int { return int(a.Story) - int(b.Story) })
	return found, told, err
}

// tell tells one story to both sides, up to the step after which they differ.
func (c Config) tell(ctx context.Context, sides [2]*side, seed uint64) (d *Difference, done int, seen map[string]bool, err error) {
	s := newStory(rand.New(rand.NewPCG(seed, 0)), fmt.Sprintf("s%d", seed))
	seen = map[string]bool{}
	defer func() {
		for _, side := range sides {
			err = errors.Join(err, side.end(context.WithoutCancel(ctx), s.name))
		}
	}()
	var so []string
	for n := range 1 + s.rand.IntN(c.Steps) {
		step := s.next(n)
		so = append(so, step.text)
		c.trace("%s: %s\n", s.name, step.text)
		for _, side := range sides {
			if err := step.do(ctx, side); err != nil {
				return nil, done, seen, fmt.Errorf("%s: %w", step.text, err)
			}
		}
		if s.refused {
			seen["refused by the API server"] = true
			break
		}
		done++
		lines, err := c.settle(ctx, sides, s.name)
		if err != nil {
			return nil, done, seen, err
		}
		sides[0].reasons(s.name, seen)
		if len(lines) > 0 {
			return &Difference{Story: seed, Steps: so, Lines: lines}, done, seen, nil
		}
		if s.over {
			break
		}
	}
	return nil, done, seen, nil
}

const (
	// calm is how long nothing may change on either side for a step to have had its effect.
	calm = 3 * time.Second
	// slow is after how long an effect is said to be missing. Crash loops of two kubelets go
	// apart by some seconds with each turn, and four turns last for 75.
	slow = 120 * time.Second
)

// settle waits until both sides have looked the same for a while, and returns what is
// different if they don't come to it.
func (c Config) settle(ctx context.Context, sides [2]*side, pod string) (lines []string, err error) {
	var since time.Time
	var last [2]map[string]string
	for begin := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
		var looks [2]map[string]string
		for i, side := range sides {
			if looks[i], err = side.look(ctx, pod); err != nil {
				return nil, err
			}
		}
		lines = apart(looks[0], looks[1])
		for i, side := range sides {
			for _, what := range changes(last[i], looks[i]) {
				since = time.Now()
				c.trace("%5.1f s %s of %s: %s is %s\n", time.Since(begin).Seconds(), side.namespace, pod, what, looks[i][what])
			}
		}
		last = looks
		lookedAt := looks[0]["looked at"] != ""
		switch {
		case len(lines) == 0 && time.Since(since) > calm && lookedAt:
			return nil, nil
		case time.Since(begin) > slow && len(lines) == 0 && !lookedAt:
			return []string{"our kubelet has not looked at the pod, or nobody is told of it any more"}, nil
		case time.Since(begin) > slow:
			return lines, nil
		}
	}
}

func (c Config) trace(format string, args ...any) {
	if c.Trace != nil {
		fmt.Fprintf(c.Trace, format, args...)
	}
}

// A side is a kubelet, with all that is known of the pods that it runs.
type side struct {
	namespace, node string
	api             kubernetes.Interface
	config          *rest.Config // for what is not in api: running commands

	mu     sync.Mutex
	pods   map[string]*corev1.Pod // as they were seen last
	gone   map[string]bool
	events map[string]map[string]string // by pod, what they say by what they are about
	heard  map[string]int               // by pod, how many events
}

// answered keeps what a command in a container said.
func (s *side) answered(pod, command, said string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.events[pod] == nil {
		s.events[pod] = map[string]string{}
	}
	s.events[pod]["answer of "+command] = s.plain(said)
}

func newSide(ctx context.Context, api kubernetes.Interface, config *rest.Config, namespace, node string) (*side, error) {
	s := &side{
		namespace: namespace, node: node, api: api, config: config,
		pods: map[string]*corev1.Pod{}, gone: map[string]bool{}, events: map[string]map[string]string{}, heard: map[string]int{},
	}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	pods, err := api.CoreV1().Pods(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	events, err := api.CoreV1().Events(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	go func() {
		for e := range pods.ResultChan() {
			if p, ok := e.Object.(*corev1.Pod); ok {
				s.mu.Lock()
				s.pods[p.Name], s.gone[p.Name] = p, e.Type == "DELETED"
				s.mu.Unlock()
			}
		}
	}()
	go func() {
		for e := range events.ResultChan() {
			if e, ok := e.Object.(*corev1.Event); ok && e.InvolvedObject.Kind == "Pod" {
				s.hear(e)
			}
		}
	}()
	return s, nil
}

// prepare makes the namespace and what pods of stories refer to in it.
func (s *side) prepare(ctx context.Context) error {
	// What another run has left.
	for _, clear := range []func(context.Context, metav1.DeleteOptions, metav1.ListOptions) error{
		s.api.CoreV1().Pods(s.namespace).DeleteCollection, s.api.CoreV1().Events(s.namespace).DeleteCollection,
	} {
		if err := clear(ctx, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}, metav1.ListOptions{}); err != nil {
			return err
		}
	}
	var errs []error
	made := func(_ any, err error) {
		if !apierrors.IsAlreadyExists(err) {
			errs = append(errs, err)
		}
	}
	core := s.api.CoreV1()
	o := metav1.CreateOptions{}
	made(core.Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}, o))
	made(core.ServiceAccounts(s.namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, o))
	made(core.ConfigMaps(s.namespace).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string]string{"color": "green", "2nd.key": "x", "script": "echo from a file"},
	}, o))
	made(core.Secrets(s.namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "password"}, StringData: map[string]string{"word": "hunter2"},
	}, o))
	return errors.Join(errs...)
}

// end takes a pod away without asking it.
func (s *side) end(ctx context.Context, pod string) error {
	err := s.api.CoreV1().Pods(s.namespace).Delete(ctx, pod, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
	return exceptNotFound(err)
}

func exceptNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// look is all that can be said of a pod now, by what it is about.
func (s *side) look(ctx context.Context, pod string) (map[string]string, error) {
	s.mu.Lock()
	p, gone, events, heard := s.pods[pod], s.gone[pod], maps.Clone(s.events[pod]), s.heard[pod]
	s.mu.Unlock()
	if p == nil {
		return map[string]string{}, nil
	}
	look := s.fate(p)
	maps.Copy(look, events)
	if heard >= burst {
		look[dropped] = "perhaps"
	}
	if gone {
		look["is"] = "gone"
		return look, nil
	}
	for _, c := range p.Status.ContainerStatuses {
		if c.ContainerID == "" {
			continue
		}
		text, err := s.api.CoreV1().Pods(s.namespace).GetLogs(pod, &corev1.PodLogOptions{Container: c.Name}).DoRaw(ctx)
		if err != nil {
			text = []byte(err.Error())
		}
		look["log of "+c.Name] = s.plain(string(text))
	}
	return look, nil
}

// reasons adds what has been said of a pod in one word.
func (s *side) reasons(pod string, seen map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for what := range s.events[pod] {
		seen[what] = true
	}
	p := s.pods[pod]
	if p == nil {
		return
	}
	seen["phase "+string(p.Status.Phase)] = true
	if p.Status.Reason != "" {
		seen["pod: "+p.Status.Reason] = true
	}
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses) {
		for _, state := range []corev1.ContainerState{c.State, c.LastTerminationState} {
			switch {
			case state.Waiting != nil:
				seen["waiting: "+state.Waiting.Reason] = true
			case state.Terminated != nil:
				seen[fmt.Sprintf("terminated: %s %d", state.Terminated.Reason, state.Terminated.ExitCode)] = true
			}
		}
	}
}
