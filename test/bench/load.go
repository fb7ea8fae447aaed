package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/otelscope/otelscope/internal/loadgen"
)

// variants is how many different requests a worker takes turns with, so that
// all services and span names occur.
const variants = 4

// seqOf numbers the requests of all workers.
func seqOf(worker int, n uint64) uint64 { return uint64(worker)<<40 | n }

// spanLoad makes OTLP requests of size spans, and remembers which were
// acknowledged.
type spanLoad struct {
	templates [][]*loadgen.SpanTemplate
	acked     [][]uint64
}

func newSpanLoad(seed uint64, workers, size int) *spanLoad {
	l := &spanLoad{templates: make([][]*loadgen.SpanTemplate, workers), acked: make([][]uint64, workers)}
	made := map[int]*loadgen.SpanTemplate{}
	for w := range workers {
		for k := range variants {
			v := (w*variants + k) % 8
			if made[v] == nil {
				made[v] = loadgen.Spans(seed, v, size)
			}
			l.templates[w] = append(l.templates[w], made[v].Clone())
		}
	}
	return l
}

func (l *spanLoad) workers(s loadgen.Sender) []loadgen.Worker {
	out := make([]loadgen.Worker, len(l.templates))
	for w, templates := range l.templates {
		out[w] = loadgen.Worker{
			Sender: s, Items: templates[0].Items,
			Next: func(n uint64) []byte {
				return templates[n%variants].Fill(seqOf(w, n), time.Now().UnixNano())
			},
			Sent: func(n uint64) { l.acked[w] = append(l.acked[w], n) },
		}
	}
	return out
}

// check looks up a sample of the traces that were acknowledged.
func (l *spanLoad) check(ctx context.Context, o options, s *server, r *results) error {
	return sample(ctx, o.samples, l.acked, r, func(ctx context.Context, w int, n uint64) (bool, error) {
		t := l.templates[w][n%variants]
		trace := rand.IntN(t.TraceCount)
		spans, err := s.api.Trace(ctx, t.TraceID(seqOf(w, n), trace))
		return len(spans) == t.TraceSize(trace), err
	})
}

// eventLoad makes NDJSON requests, each worker of processes of its own.
type eventLoad struct {
	templates []*loadgen.Template
	acked     [][]uint64
}

func newEventLoad(seed uint64, workers, processes int) *eventLoad {
	l := &eventLoad{acked: make([][]uint64, workers)}
	for w := range workers {
		l.templates = append(l.templates, loadgen.Events(seed, w, processes))
	}
	return l
}

// workers calls sending, where it is set, before each request.
func (l *eventLoad) workers(s loadgen.Sender, sending func(w int, n uint64)) []loadgen.Worker {
	out := make([]loadgen.Worker, len(l.templates))
	for w, t := range l.templates {
		out[w] = loadgen.Worker{
			Sender: s, Items: t.Items,
			Next: func(n uint64) []byte {
				body := t.Fill(seqOf(w, n), time.Now().UnixNano())
				if sending != nil {
					sending(w, n)
				}
				return body
			},
			Sent: func(n uint64) { l.acked[w] = append(l.acked[w], n) },
		}
	}
	return out
}

// check looks up a sample of the events that were acknowledged.
func (l *eventLoad) check(ctx context.Context, o options, s *server, r *results) error {
	return sample(ctx, o.samples, l.acked, r, func(ctx context.Context, w int, n uint64) (bool, error) {
		t := l.templates[w]
		span, err := s.api.Event(ctx, t.Text(seqOf(w, n), rand.IntN(t.Items)))
		return span != nil, err
	})
}

// sample looks up n random requests of those that were acknowledged and counts
// what is not there.
func sample(ctx context.Context, n int, acked [][]uint64, r *results, found func(ctx context.Context, w int, n uint64) (bool, error)) error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var first error
	for range 4 {
		wg.Go(func() {
			for range (n + 3) / 4 {
				w := rand.IntN(len(acked))
				if len(acked[w]) == 0 {
					continue
				}
				begin := time.Now()
				ok, err := found(ctx, w, acked[w][rand.IntN(len(acked[w]))])
				r.lookups.Observe(time.Since(begin))
				mu.Lock()
				r.Lookups.Checked++
				if err != nil && first == nil {
					first = err
				}
				if !ok {
					r.Lookups.Lost++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return first
}
