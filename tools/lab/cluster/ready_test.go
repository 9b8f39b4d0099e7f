package cluster

import (
	"context"
	"errors"
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
