package ring

import (
	"context"
	"sync"
)

// Completion is the one answer to a request of several parts. It fires once:
// when the last part is complete, or when the ring fails what is unfinished.
// Its methods may be called from any goroutine.
type Completion struct {
	done chan struct{}

	mu    sync.Mutex
	left  int // parts that are not complete yet
	err   error
	fired bool
}

func newCompletion(parts int) *Completion {
	c := &Completion{done: make(chan struct{}), left: parts}
	if parts == 0 {
		c.fire()
	}
	return c
}

// Done is closed when the completion fires.
func (c *Completion) Done() <-chan struct{} { return c.done }

// Err returns the first error of the parts, nil while there is none. It is
// final once Done is closed.
func (c *Completion) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Wait waits for the completion to fire and returns its result, or the cause
// of ctx's end. A completion that has fired wins over a ctx that has ended.
func (c *Completion) Wait(ctx context.Context) error {
	select {
	case <-c.done:
		return c.Err()
	default:
	}
	select {
	case <-c.done:
		return c.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// part completes one part.
func (c *Completion) part(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fired {
		return
	}
	if c.err == nil {
		c.err = err
	}
	if c.left--; c.left == 0 {
		c.fire()
	}
}

// force fires at once, whatever parts are left.
func (c *Completion) force(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fired {
		return
	}
	if c.err == nil {
		c.err = err
	}
	c.fire()
}

// fire needs c.mu, or a c that nobody else knows yet.
func (c *Completion) fire() {
	c.fired = true
	close(c.done)
}
