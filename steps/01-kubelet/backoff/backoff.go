// Package backoff decides how long to wait before something that failed is tried
// again: 10 seconds, then twice as long each time up to 5 minutes, and from the
// start again after a long time without failure. Containers that crash and
// images that can't be pulled wait by the same rule.
package backoff

import "time"

// A Policy is the rule.
type Policy struct {
	First time.Duration // after the first failure
	Max   time.Duration // twice this long without failure forgives everything
}

// Default is upstream's policy for containers and for images.
var Default = Policy{First: 10 * time.Second, Max: 5 * time.Minute}

// A Backoff is where one thing stands. The zero Backoff has no failure.
type Backoff struct {
	Delay time.Duration // that the next try has to wait, counted from the failure
	since time.Time     // when Delay was set
}

// Remaining returns how long a try has to wait at now, if the last failure was
// at failed; zero if it needs not.
func (b *Backoff) Remaining(p Policy, failed, now time.Time) time.Duration {
	if b.Delay == 0 || b.forgiven(p, failed) {
		return 0
	}
	return max(0, b.Delay-now.Sub(failed))
}

// Next lengthens the delay: a thing that failed at failed is tried again now.
func (b *Backoff) Next(p Policy, failed, now time.Time) {
	switch {
	case b.Delay == 0, b.forgiven(p, failed):
		b.Delay = p.First
	default:
		b.Delay = min(2*b.Delay, p.Max)
	}
	b.since = now
}

// forgiven: the thing has worked for so long before it failed at failed that
// what was before does not count.
func (b *Backoff) forgiven(p Policy, failed time.Time) bool { return failed.Sub(b.since) > 2*p.Max }
