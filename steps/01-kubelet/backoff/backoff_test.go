package backoff

import (
	"testing"
	"time"
)

func TestDelayDoublesToItsMaximumAndIsForgivenAfterTenMinutes(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var b Backoff
	for i, run := range []struct{ ran, want time.Duration }{
		{0, 0}, // the first restart is immediate
		{time.Second, 10 * time.Second},
		{time.Second, 20 * time.Second},
		{time.Second, 40 * time.Second},
		{time.Second, 80 * time.Second},
		{time.Second, 160 * time.Second},
		{time.Second, 300 * time.Second},
		{9 * time.Minute, 300 * time.Second},
		{10*time.Minute + time.Second, 0},
		{time.Second, 10 * time.Second},
	} {
		now = now.Add(run.ran)
		failed := now
		got := b.Remaining(Default, failed, now)
		if got != run.want {
			t.Errorf("crash %d after %v: got a wait of %v, want %v", i, run.ran, got, run.want)
		}
		now = now.Add(got)
		b.Next(Default, failed, now)
	}
}

func TestWaitIsCountedFromTheFailure(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var b Backoff
	b.Next(Default, start, start)
	if got, want := b.Remaining(Default, start, start.Add(4*time.Second)), 6*time.Second; got != want {
		t.Errorf("4s after the failure: got %v, want %v", got, want)
	}
	if got := b.Remaining(Default, start, start.Add(time.Minute)); got != 0 {
		t.Errorf("a minute after the failure: got %v, want 0", got)
	}
}
