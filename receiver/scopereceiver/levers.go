package scopereceiver

import "github.com/otelscope/otelscope/internal/hub"

// The pool is what the hub's API moves.
var _ hub.Intake = (*pool)(nil)

// Pause is hub.Intake. A worker finishes the batch it holds, and goes on
// trying to if the pipeline refuses it.
func (p *pool) Pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return
	}
	p.paused = true
	for _, w := range p.workers {
		p.interrupt(w)
	}
}

// Resume is hub.Intake.
func (p *pool) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = false
	p.changed.Broadcast()
}

// SetWorkers is hub.Intake.
func (p *pool) SetWorkers(low, high int) error {
	bounds := WorkersConfig{Min: low, Max: high}
	if err := bounds.validate(""); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bounds = bounds
	p.resize(min(max(len(p.workers), low), high))
	return nil
}

// SetBatch is hub.Intake. It holds for what is taken from now on; workers that
// wait for something to take ask anew.
func (p *pool) SetBatch(low, high int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	bounds := BatchConfig{MinSize: low, MaxSize: high, MaxDelay: p.batch.MaxDelay}
	if err := bounds.validate(""); err != nil {
		return err
	}
	p.batch = bounds
	for _, w := range p.workers {
		p.interrupt(w)
	}
	return nil
}

// close begins the end: nothing is paused any more, no worker comes.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused, p.closing = false, true
	p.changed.Broadcast()
	close(p.halt)
}

// inForce returns the bounds, and whether the pool is paused.
func (p *pool) inForce() (WorkersConfig, BatchConfig, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bounds, p.batch, p.paused
}

func (p *pool) isPaused() bool {
	_, _, paused := p.inForce()
	return paused
}
