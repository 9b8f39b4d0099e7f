package scheduler

import "sync"

// A crew does what takes time, so many things at once, while decisions go on. Who has
// done one waits for the next: his stack has grown by then, and growing it is a tenth of
// what a bind costs.
type crew struct {
	busy chan struct{} // has room for as many as may be at work
	next chan func()
	over chan struct{}
	all  sync.WaitGroup
}

func newCrew(most int) *crew {
	return &crew{busy: make(chan struct{}, most), next: make(chan func()), over: make(chan struct{})}
}

// do waits for room, and returns when f is being done.
func (c *crew) do(f func()) {
	c.busy <- struct{}{}
	select {
	case c.next <- f:
	default:
		c.all.Go(func() { c.work(f) })
	}
}

func (c *crew) work(f func()) {
	for {
		f()
		<-c.busy
		select {
		case f = <-c.next:
		case <-c.over:
			return
		}
	}
}

// dismiss waits until all is done. It is called once; what is being done may do more.
func (c *crew) dismiss() {
	close(c.over)
	c.all.Wait()
}
