package pace

import (
	"testing"
	"time"
)

func TestFactor(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name        string
		here, there time.Duration
		want        float64
	}{
		{"as fast", 5 * ms, 5 * ms, 1},
		{"faster, because we were busy", 5 * ms, 4 * ms, 1},
		{"emulated", 5 * ms, 100 * ms, 20},
		{"stuck", 5 * ms, time.Hour, 50},
		{"no measure", 0, 5 * ms, 1},
	} {
		if got := Factor(c.here, c.there); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
	if got := Stretch(10*time.Second, 2.5); got != 25*time.Second {
		t.Errorf("got %v, want 25s", got)
	}
}

func TestMeasureIsAMeasure(t *testing.T) {
	if got := Measure(); got <= 0 || got > 10*time.Second {
		t.Errorf("got %v, want some milliseconds", got)
	}
}
