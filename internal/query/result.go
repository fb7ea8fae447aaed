package query

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
)

// result is a spanset that came out of a pipeline.
type result struct {
	key     spanKey // of its latest span
	spanset Spanset
	bytes   int       // that the spanset holds
	shown   []spanKey // the spanset's spans
}

// identity is what makes two spans one.
type identity struct {
	ref  causal.SpanRef
	kind ptrace.SpanKind
}

// spanSet is a set of spans, with when they began.
type spanSet map[identity]uint64

func (k spanKey) identity() identity { return identity{k.ref, k.kind} }

// of returns which of a trace's spans are in the set.
func (s spanSet) of(t *trace) []bool {
	in := make([]bool, len(t.records))
	for i, r := range t.records {
		_, in[i] = s[r.key().identity()]
	}
	return in
}

// keys returns the set's spans, the latest first.
func (s spanSet) keys() []spanKey {
	keys := make([]spanKey, 0, len(s))
	for id, start := range s {
		keys = append(keys, spanKey{start, id.ref, id.kind})
	}
	slices.SortFunc(keys, spanKey.latestFirst)
	return keys
}

// result makes an answer's spanset of a bunch.
func (s *searcher) result(p *pipe, b bunch) (*result, error) {
	f := &result{spanset: Spanset{Matched: len(b.records), By: b.by, Figures: b.figures, Fields: p.fields}}
	for i, r := range b.records {
		if key := r.key(); i == 0 || key.latestFirst(f.key) < 0 {
			f.key = key
		}
		if i < s.opts.MaxSpans {
			f.shown = append(f.shown, r.key())
			f.spanset.Spans = append(f.spanset.Spans, r.Span)
			f.bytes += len(r.Span.Origin) + len(r.Span.Bytes)
		}
	}
	return f, s.hold(f.bytes)
}

// wanted is which spansets are wanted, and yields them in order: by their
// latest span, the latest first.
type wanted struct {
	after *spanKey // those behind this one only; nil: all
	most  int      // how many
	yield func(*result) error
	// complete adds what costs too much to add to all, if it is not nil.
	complete func(*result) error

	given   int
	pending []*result // ordered; no more than can be given
	release func(*result)
}

// push takes a spanset.
func (w *wanted) push(f *result) {
	if w.after != nil && w.after.latestFirst(f.key) >= 0 {
		w.release(f)
		return
	}
	at, _ := slices.BinarySearchFunc(w.pending, f.key, func(p *result, key spanKey) int { return p.key.latestFirst(key) })
	w.pending = slices.Insert(w.pending, at, f)
	if last := len(w.pending) - 1; w.given+last >= w.most {
		w.release(w.pending[last])
		w.pending = w.pending[:last]
	}
}

// advance says that no spanset will come any more that is before the key, and
// reports whether more are wanted.
func (w *wanted) advance(key spanKey) (more bool, err error) {
	for len(w.pending) > 0 && w.pending[0].key.latestFirst(key) <= 0 {
		if err := w.give(); err != nil {
			return false, err
		}
	}
	return w.given < w.most, nil
}

// restart says that all spansets up to a key were given, and that those behind
// it come once more.
func (w *wanted) restart(after spanKey) {
	for _, f := range w.pending {
		w.release(f)
	}
	if w.pending = nil; w.after == nil || w.after.latestFirst(after) < 0 {
		w.after = &after
	}
}

// finish says that no spanset will come any more.
func (w *wanted) finish() error {
	for len(w.pending) > 0 {
		if err := w.give(); err != nil {
			return err
		}
	}
	return nil
}

func (w *wanted) give() error {
	first := w.pending[0]
	w.pending = w.pending[1:]
	w.given++
	if w.complete != nil && w.given < w.most { // the last one only says that there are more
		if err := w.complete(first); err != nil {
			return err
		}
	}
	return w.yield(first)
}
