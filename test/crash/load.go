package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/otelscope/otelscope/internal/loadgen"
)

// worker sends one request after another and remembers them all. It is used by
// one goroutine at a time.
type worker struct {
	index  int
	native bool
	rand   *rand.Rand
	maker  *maker
	seq    uint64
	all    []*request
	since  int        // where in all the current round begins
	open   []*request // acknowledged opens that nobody returned
}

func newWorker(seed uint64, index int, native bool) *worker {
	return &worker{
		index: index, native: native,
		rand:  rand.New(rand.NewPCG(seed, uint64(index))),
		maker: newMaker(seed, index),
	}
}

// next decides what to send.
func (w *worker) next() *request {
	w.seq++
	r := &request{kind: spans, seq: uint64(w.index)<<40 | w.seq, now: time.Now().UnixNano()}
	if w.native {
		r.kind = activities
		switch p := w.rand.Float64(); {
		case p < 0.15 && len(w.open) > 0:
			return w.giveBack(r)
		case p < 0.40:
			r.kind = opens
		}
	}
	w.all = append(w.all, r)
	return r
}

// giveBack makes r the request that returns the calls of one of the open ones.
func (w *worker) giveBack(r *request) *request {
	i := w.rand.IntN(len(w.open))
	of := w.open[i]
	w.open[i] = w.open[len(w.open)-1]
	w.open = w.open[:len(w.open)-1]
	r.kind, r.seq = returns, of.seq // the calls are named by it
	of.back = r
	w.all = append(w.all, r)
	return r
}

// acknowledged notes that the collector has r.
func (w *worker) acknowledged(r *request) {
	if r.acked {
		return
	}
	r.acked = true
	if r.kind == opens && r.back == nil {
		w.open = append(w.open, r)
	}
}

// run sends rate requests a second until the sender fails, which is how a kill
// shows. A rejection is an error: every request is valid.
func (w *worker) run(ctx context.Context, s loadgen.Sender, rate float64) error {
	ticker := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		gone, err := w.send(ctx, s, w.next())
		if gone || err != nil {
			return err
		}
	}
}

// send sends r and notes the answer; gone says that there was none.
func (w *worker) send(ctx context.Context, s loadgen.Sender, r *request) (gone bool, err error) {
	err = loadgen.Deliver(ctx, s, w.maker.body(r))
	var rejected *loadgen.RejectedError
	switch {
	case err == nil:
		w.acknowledged(r)
		return false, nil
	case errors.As(err, &rejected):
		return false, err
	}
	return true, nil
}

// unanswered are the requests of this round that had no answer.
func (w *worker) unanswered() []*request {
	var out []*request
	for _, r := range w.all[w.since:] {
		if !r.acked {
			out = append(out, r)
		}
	}
	return out
}

// some draws up to n acknowledged requests of this round.
func (w *worker) some(n int) []*request {
	var out []*request
	for range n {
		if round := w.all[w.since:]; len(round) > 0 {
			if r := round[w.rand.IntN(len(round))]; r.acked {
				out = append(out, r)
			}
		}
	}
	return out
}
