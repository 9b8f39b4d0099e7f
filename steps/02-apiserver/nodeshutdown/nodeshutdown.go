// Package nodeshutdown ends the pods of a node before the machine goes down.
//
// A machine that is told to shut down kills what runs on it within seconds. Where
// systemd is, its login manager asks first: a program that holds a "delay"
// inhibitor is told that a shutdown is near, and may hold it up until it lets the
// inhibitor go. The kubelet says then that the node is not ready, refuses new pods,
// ends the ordinary pods, then those that the node depends on, each group within
// its share of the time, and lets go.
//
// Nothing else ends pods. A kubelet that is stopped, by SIGTERM or in any other way,
// leaves them running, as the next one will find them; so on a machine without
// D-Bus, or in a container, a shutdown is as sudden as a power cut.
//
// Upstream: pkg/kubelet/nodeshutdown; https://systemd.io/INHIBITOR_LOCKS/.
package nodeshutdown

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-groundup/groundup/steps/01-kubelet/criconfig"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/kubelet"
	"github.com/k8s-groundup/groundup/steps/01-kubelet/podstatus"
)

// A Logind is a connection to whoever knows of shutdowns. [Dial] makes one.
type Logind interface {
	// MaxDelay returns how long a shutdown waits at most.
	MaxDelay() (time.Duration, error)

	// Inhibit holds up shutdowns until the lock is closed.
	Inhibit() (lock io.Closer, err error)

	// Shutdowns tells of a shutdown that begins, true, or was called off, false. The
	// channel is closed when the connection is lost.
	Shutdowns() (<-chan bool, error)

	Close() error
}

// A Watcher waits for a shutdown. Its exported fields are set before Run.
type Watcher struct {
	Total    time.Duration // shutdownGracePeriod; 0 switches it off
	Critical time.Duration // of that for the pods that the node depends on; shutdownGracePeriodCriticalPods

	Pods  func() []*corev1.Pod                                           // of which something runs
	End   func(pod *corev1.Pod, grace int64, why podstatus.Failure) bool // see Kubelet.End
	Leave func(why string)                                               // tells that the node is not ready; "" takes it back
	Dial  func() (Logind, error)                                         // nil means [Dial]
	Log   *slog.Logger

	leaving atomic.Bool
}

// Refuse returns why a pod may not start now, or nil.
func (w *Watcher) Refuse() *criconfig.Rejection {
	if w.leaving.Load() {
		return &criconfig.Rejection{Reason: "NodeShutdown", Message: "Pod was rejected as the node is shutting down."}
	}
	return nil
}

// again is how long to wait before a connection that was lost is made again.
const again = 10 * time.Second

// Run waits until ctx is done. That there is nobody to tell of shutdowns is logged
// once.
func (w *Watcher) Run(ctx context.Context) error {
	if w.Dial == nil {
		w.Dial = Dial
	}
	for told := w.Total == 0; ; {
		if w.Total > 0 {
			if err := w.watch(ctx); err != nil && !told {
				w.Log.Warn("a shutdown of the machine will not wait for its pods", "err", err)
				told = true
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(again):
		}
	}
}

// watch holds an inhibitor until the connection is lost.
func (w *Watcher) watch(ctx context.Context) error {
	logind, err := w.Dial()
	if err != nil {
		return err
	}
	defer logind.Close()
	most, err := logind.MaxDelay()
	if err != nil {
		return err
	}
	if most < w.Total {
		w.Log.Warn("a shutdown will not wait as long as shutdownGracePeriod says: set InhibitDelayMaxSec in /etc/systemd/logind.conf",
			"shutdownGracePeriod", w.Total, "InhibitDelayMaxSec", most)
	}
	shutdowns, err := logind.Shutdowns()
	if err != nil {
		return err
	}
	lock, err := logind.Inhibit()
	if err != nil {
		return err
	}
	defer func() { lock.Close() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case down, ok := <-shutdowns:
			switch {
			case !ok:
				return errors.New("the connection to logind is lost")
			case down:
				w.leave(ctx)
				lock.Close()
			default:
				w.Log.Info("the shutdown was called off")
				w.leaving.Store(false)
				w.Leave("")
				lock.Close()
				if lock, err = logind.Inhibit(); err != nil {
					lock = io.NopCloser(nil)
					return err
				}
			}
		}
	}
}

// leave ends the pods, group by group.
func (w *Watcher) leave(ctx context.Context) {
	w.Log.Info("the machine is shutting down: ending its pods")
	w.leaving.Store(true)
	w.Leave("node is shutting down")
	why := podstatus.Failure{Reason: "Terminated", Message: "Pod was terminated in response to imminent node shutdown."}
	for _, group := range Plan(w.Pods(), w.Total, w.Critical) {
		ending := map[types.UID]bool{}
		for _, pod := range group.Pods {
			w.End(pod, int64(group.Grace/time.Second), why)
			ending[pod.UID] = true
		}
		w.wait(ctx, ending, group.Grace)
	}
}

// wait returns when these pods have ended, or their time is over.
func (w *Watcher) wait(ctx context.Context, ending map[types.UID]bool, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		left := 0
		for _, pod := range w.Pods() {
			if ending[pod.UID] {
				left++
			}
		}
		if left == 0 {
			return
		}
		select {
		case <-ctx.Done():
			w.Log.Warn("pods have not ended in time", "pods", left)
			return
		case <-tick.C:
		}
	}
}

// A Group is pods that end together.
type Group struct {
	Grace time.Duration
	Pods  []*corev1.Pod
}

// Plan divides the pods into the groups that end one after the other. What is for
// the critical ones is not for the others.
func Plan(pods []*corev1.Pod, total, critical time.Duration) []Group {
	groups := []Group{{Grace: total - critical}, {Grace: critical}}
	for _, pod := range pods {
		i := 0
		if kubelet.Critical(pod) {
			i = 1
		}
		groups[i].Pods = append(groups[i].Pods, pod)
	}
	return groups
}
