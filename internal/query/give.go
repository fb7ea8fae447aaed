package query

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// giver returns what takes the spansets of a causal operator, the latest
// first, through a pipeline to who wants them.
func (s *searcher) giver(p *pipe, g *reach, want *wanted) func(component) (more bool, err error) {
	if p.path {
		want.complete = func(f *result) (err error) {
			f.spanset.Path, err = g.path(f.shown)
			return err
		}
	}
	return func(c component) (bool, error) {
		if err := s.pushComponent(p, c, want); err != nil {
			return false, err
		}
		return want.advance(c.key)
	}
}

func (s *searcher) pushComponent(p *pipe, c component, want *wanted) error {
	if len(p.stages) == 0 {
		spans, held, err := s.fetch(c.spans[:min(len(c.spans), s.opts.MaxSpans)])
		if err != nil {
			return err
		}
		want.push(&result{
			key: c.key, bytes: held, shown: c.spans[:len(spans)],
			spanset: Spanset{Spans: spans, Matched: len(c.spans), Fields: p.fields},
		})
		return nil
	}
	bunches, held, err := s.causedBunches(p, c)
	if err != nil {
		return err
	}
	s.held -= held
	for _, b := range bunches {
		f, err := s.result(p, b)
		if err != nil {
			return err
		}
		want.push(f)
	}
	return nil
}

// causedBunches takes a spanset of a causal operator through a pipeline. The
// records hold bytes of spans.
func (s *searcher) causedBunches(p *pipe, c component) (_ []bunch, held int, err error) {
	spans, held, err := s.fetch(c.spans)
	if err != nil {
		return nil, 0, err
	}
	facts := map[pcommon.TraceID]*traceFacts{}
	b := bunch{records: make([]*Record, len(spans))}
	for i, span := range spans {
		r := new(Record)
		if err := s.reader.readInto(r, span); err != nil {
			return nil, 0, err
		}
		b.records[i] = r
		if !p.ofTrace {
			continue
		}
		known := facts[r.Ref.TraceID]
		if known == nil {
			t, err := s.load(r.Ref.TraceID)
			if err != nil {
				return nil, 0, err
			}
			known = &traceFacts{records: t.records}
			known.know()
			facts[r.Ref.TraceID] = known
		}
		r.trace = known
	}
	if len(b.records) == 0 {
		return nil, held, nil
	}
	return p.through(b), held, nil
}

// fetch reads spans again, in the order of their keys; those that are gone
// are left out.
func (s *searcher) fetch(keys []spanKey) (_ []store.Span, held int, err error) {
	byID := make(map[identity]store.Span, len(keys))
	for part := range slices.Chunk(keys, atOnce) {
		var refs []causal.SpanRef
		for _, key := range part {
			byID[key.identity()] = store.Span{}
			refs = append(refs, key.ref)
		}
		slices.SortFunc(refs, causal.SpanRef.Compare)
		spans, err := s.src.Spans(s.ctx, slices.Compact(refs))
		if err != nil {
			return nil, 0, err
		}
		for _, span := range spans {
			key, err := s.keyOf(span)
			if err != nil {
				return nil, 0, err
			}
			if _, asked := byID[key.identity()]; !asked {
				continue
			}
			size := len(span.Origin) + len(span.Bytes)
			held += size
			if err := s.hold(size); err != nil {
				return nil, 0, err
			}
			byID[key.identity()] = span
		}
	}
	out := make([]store.Span, 0, len(keys))
	for _, key := range keys {
		if span := byID[key.identity()]; span.Bytes != nil {
			out = append(out, span)
		}
	}
	return out, held, nil
}
