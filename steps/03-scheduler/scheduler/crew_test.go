package scheduler

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestACrew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, things = 3, 100
		c := newCrew(most)
		var now, peak, done atomic.Int32
		for i := range things {
			c.do(func() {
				peak.Store(max(peak.Load(), now.Add(1)))
				time.Sleep(time.Duration(i%7) * time.Second) // of the bubble
				now.Add(-1)
				if done.Add(1) == things {
					c.do(func() { done.Add(1) }) // more of itself
				}
			})
		}
		c.dismiss()
		if peak.Load() != most || done.Load() != things+1 || len(c.busy) != 0 {
			t.Errorf("%d at once, %d done, %d busy; want %d, %d, 0", peak.Load(), done.Load(), len(c.busy), most, things+1)
		}
	})
}
