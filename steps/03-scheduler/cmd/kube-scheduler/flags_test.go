package main

import (
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const file = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n" +
	"clientConnection: {kubeconfig: k, qps: 7}\nleaderElection: {leaderElect: true, resourceName: theirs, leaseDuration: 60s}\n"

// As upstream has it: of the flags that a file's fields are for, the election's count.
func TestFlagsOfTheElectionStandAboveTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, path, file)
	f, conf, err := parse([]string{"--config", path, "--leader-elect=false", "--leader-elect-resource-name=mine", "--leader-elect-retry-period=1s", "--kube-api-qps=9", "--kubeconfig=other"})
	if err != nil {
		t.Fatal(err)
	}
	if l := conf.LeaderElection; *l.LeaderElect || l.ResourceName != "mine" || l.RetryPeriod.Duration != time.Second || l.LeaseDuration.Duration != time.Minute {
		t.Errorf("got %+v, want the flags that were given, and else the file", l)
	}
	if got, want := f.unheeded, []string{"--kube-api-qps", "--kubeconfig"}; conf.ClientConnection.QPS != 7 || !slices.Equal(got, want) {
		t.Errorf("got %v requests a second, and without heed %v, want 7 and %v", conf.ClientConnection.QPS, got, want)
	}
}

func TestWhatFlagsAndFileMakeTogetherIsLookedAt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	writeFile(t, path, file)
	if _, _, err := parse([]string{"--config", path, "--leader-elect-renew-deadline=61s"}); err == nil {
		t.Error("the leader may try to renew its lease for longer than it lasts")
	}
}
