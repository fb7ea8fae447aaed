package scopereceiver

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"

	"github.com/otelscope/otelscope/internal/ring"
)

// The pace at which an acknowledged batch is tried again, each wait spread by
// half of it up and down. A pipeline that asks for more gets it.
const (
	retryFirst  = 50 * time.Millisecond
	retryMost   = 5 * time.Second
	retryFactor = 2
	retrySpread = 0.5
)

// handle settles a batch. What its clients take for delivered (acknowledge:
// buffered) is tried again until the pipeline takes it or p.ctx ends; until
// then it counts in the ring, which so refuses what comes. When the receiver
// shuts down, the pace begins anew: what the pipeline asked for may be more
// time than there is.
func (p *pool) handle(b *ring.Batch[work], careful bool) error {
	pace := backoff.ExponentialBackOff{
		InitialInterval: retryFirst, MaxInterval: retryMost, Multiplier: retryFactor, RandomizationFactor: retrySpread,
	}
	halt := p.halt
	for {
		err := p.handler.handle(p.ctx, b, careful)
		if err == nil || owed(b.Entries, err) == 0 {
			return err
		}
		p.logger.Warn("The pipeline refuses for now: an acknowledged batch is kept and tried again",
			zap.Int("items", b.Items), zap.String("reason", cut(err.Error())))
		wait := pace.NextBackOff()
		if halt != nil {
			wait = max(wait, spread(asked(err)))
		}
		p.retrying.Add(1)
		select {
		case <-time.After(wait):
		case <-halt:
			halt = nil
			pace.Reset()
		case <-p.ctx.Done():
		}
		p.retrying.Add(-1)
		if p.ctx.Err() != nil {
			return err
		}
	}
}

// spread lengthens a wait by up to half of it.
func spread(wait time.Duration) time.Duration {
	return wait + time.Duration(retrySpread*rand.Float64()*float64(wait))
}

// owed counts the acknowledged items among entries that are not settled. The
// clients of the other entries are told err.
func owed(entries []*ring.Entry[work], err error) int {
	n := 0
	for _, e := range entries {
		switch {
		case e.Completed():
		case e.Work.acknowledged:
			n += e.Items - e.Work.settled
		default:
			e.Complete(err)
		}
	}
	return n
}
