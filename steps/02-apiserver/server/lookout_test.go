package server

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestALookoutEndsOnlyWhatTakesTooLong(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration
		late  bool
	}{"in time": {time.Minute - 1, false}, "too long": {time.Minute + 1, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				late := false
				l := newLookout(time.Minute, func() { late = true })
				for range 3 {
					time.Sleep(time.Hour) // nothing is done meanwhile
					l.begin()
					time.Sleep(c.takes)
					l.end()
				}
				l.begin()
				l.close()
				time.Sleep(time.Hour)
				if late != c.late {
					t.Errorf("late is %v, want %v", late, c.late)
				}
			})
		})
	}
}
