package cluster

import (
	"context"
	"errors"
	"os/exec"
	"testing"
	"time"
)

func TestWhoIsInterruptedIsNotToldOfATimeThatHasNotPassed(t *testing.T) {
	late, interrupt := errors.New("after 1m0s it is not ready"), errors.New("interrupt signal received")
	over, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	<-over.Done()
	interrupted, stop := context.WithCancelCause(context.Background())
	stop(interrupt)
	below, cancelBelow := context.WithTimeout(interrupted, time.Hour)
	defer cancelBelow()
	for _, c := range []struct {
		name string
		ctx  context.Context
		want error
	}{
		{"the time is over", over, late},
		{"interrupted", below, interrupt},
	} {
		if got := overdue(c.ctx, late); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestExited(t *testing.T) {
	for _, c := range []struct {
		script string
		want   int
	}{{"exit 3", 3}, {"kill -TERM $$", 143}, {"kill -KILL $$", 137}} {
		if code, ok := Exited(exec.Command("sh", "-c", c.script).Run()); !ok || code != c.want {
			t.Errorf("%s: got %d, %v, want %d", c.script, code, ok, c.want)
		}
	}
	if _, ok := Exited(errors.New("no such file")); ok {
		t.Error("what has not run has an exit code")
	}
}
