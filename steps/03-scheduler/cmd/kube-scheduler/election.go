package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/config"
)

// An election lets one of several schedulers be active: the one that holds the
// Lease. The others watch, so that they know the cluster when their turn comes.
type election struct {
	config leaderelection.LeaderElectionConfig
	health *leaderelection.HealthzAdaptor
	log    *slog.Logger
}

var errLost = errors.New("the lease is lost: whoever holds it now is the scheduler")

// patience is how long the lease may be over before a leader that has not noticed
// is said to be unwell.
const patience = 20 * time.Second

// newElection returns nil if the configuration wants none.
func newElection(conf *config.Config, client kubernetes.Interface, log *slog.Logger) (*election, error) {
	l := conf.LeaderElection
	if !*l.LeaderElect {
		return nil, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	health := leaderelection.NewLeaderHealthzAdaptor(patience)
	return &election{health: health, log: log, config: leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: l.ResourceNamespace, Name: l.ResourceName},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())},
		},
		LeaseDuration: l.LeaseDuration.Duration, RenewDeadline: l.RenewDeadline.Duration, RetryPeriod: l.RetryPeriod.Duration,
		WatchDog: health, Name: "kube-scheduler",
	}}, nil
}

// check says whether the leader still knows what it is.
func (e *election) check() error {
	if e == nil {
		return nil
	}
	return e.health.Check(nil)
}

// run calls lead when this is the leader, once: who has lost the lease ends, and is
// started again with nothing old in mind. lead decides until its first context is
// done, and may write as long as the second one, the lease, is not. The lease is given
// back after everything that lead has begun: client-go would do it before, and the
// next leader would find binds under way.
func (e *election) run(ctx context.Context, lead func(deciding, holding context.Context) error) error {
	if e == nil {
		return lead(ctx, context.WithoutCancel(ctx))
	}
	started, ended := make(chan context.Context, 1), make(chan struct{})
	e.config.Callbacks = leaderelection.LeaderCallbacks{
		OnStartedLeading: func(leading context.Context) { started <- leading },
		OnStoppedLeading: func() {},
		OnNewLeader:      func(identity string) { e.log.Info("there is a leader", "identity", identity) },
	}
	elector, err := leaderelection.NewLeaderElector(e.config)
	if err != nil {
		return fmt.Errorf("leader election: %w", err)
	}
	e.health.SetLeaderElection(elector)
	holding, letGo := context.WithCancel(context.WithoutCancel(ctx))
	go func() { defer close(ended); elector.Run(holding) }()
	stop := func() { letGo(); <-ended }
	select {
	case <-ctx.Done():
		stop()
		return nil
	case leading := <-started:
		deciding, cancel := context.WithCancel(ctx)
		defer cancel()
		context.AfterFunc(leading, cancel)
		err := lead(deciding, leading)
		lost := leading.Err() != nil
		stop()
		if lost {
			return errors.Join(errLost, err)
		}
		e.release(context.WithoutCancel(ctx))
		return err
	}
}

// release ends the lease, if it still is ours. If that fails it will run out.
func (e *election) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, e.config.RetryPeriod)
	defer cancel()
	lock, now := e.config.Lock, metav1.Now()
	record, _, err := lock.Get(ctx)
	if err == nil && record.HolderIdentity == lock.Identity() {
		err = lock.Update(ctx, resourcelock.LeaderElectionRecord{
			LeaseDurationSeconds: 1, LeaderTransitions: record.LeaderTransitions, RenewTime: now, AcquireTime: now})
	}
	if err != nil {
		e.log.Info("the lease can't be given back, and will run out", "err", err)
	}
}
