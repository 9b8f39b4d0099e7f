// Package pace says how slow a machine is. An emulated processor takes ten to
// fifty times as long as the one that emulates it, so whoever waits for it
// multiplies his patience by what was measured, instead of guessing.
package pace

import (
	"runtime"
	"time"
)

// Measure returns how long a fixed piece of work takes here: a few milliseconds
// on the processor of a laptop. The best of ten runs counts, since others use the
// processor too: a machine that boots, or this computer's other work.
func Measure() time.Duration {
	best := time.Duration(1<<63 - 1)
	for range 10 {
		start := time.Now()
		runtime.KeepAlive(work()) // or the compiler leaves it out
		best = min(best, time.Since(start))
	}
	return best
}

// work mixes what programs do: arithmetic, memory, branches and maps.
func work() uint64 {
	seen := map[uint64]int{}
	x := uint64(88172645463325252)
	for range 60_000 {
		x ^= x << 13 // xorshift64, Marsaglia 2003
		x ^= x >> 7
		x ^= x << 17
		seen[x&4095]++
	}
	return uint64(len(seen)) + x
}

// Factor is how many times slower than this machine the other one is: at least
// 1, and at most 50, so that what never comes is not waited for much longer than
// what is late.
func Factor(here, there time.Duration) float64 {
	if here <= 0 {
		return 1
	}
	return min(max(float64(there)/float64(here), 1), 50)
}

// Stretch is a time limit of this machine as it is for one factor times slower.
func Stretch(limit time.Duration, factor float64) time.Duration {
	return time.Duration(float64(limit) * factor)
}
