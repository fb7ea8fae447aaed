package store

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store/block"
	"github.com/otelscope/otelscope/internal/store/head"
)

// merger collects versions of spans from the parts of a store, the oldest part
// first, and unites them by the contract's rules.
type merger struct {
	spans []merged
	at    map[head.Identity]int // -> spans; only what has an identity
}

type merged struct {
	Span
	id    head.Identity
	start uint64
	open  bool
}

func (m *merger) add(s Span) error {
	fresh, err := newMerged(s)
	if err != nil {
		return err
	}
	return m.unite(fresh)
}

// unite adds a version of a span.
func (m *merger) unite(fresh merged) (err error) {
	if !fresh.id.Exists() {
		m.spans = append(m.spans, fresh)
		return nil
	}
	i, found := m.at[fresh.id]
	if !found {
		if m.at == nil {
			m.at = map[head.Identity]int{}
		}
		m.at[fresh.id] = len(m.spans)
		m.spans = append(m.spans, fresh)
		return nil
	}
	base, other := m.spans[i], fresh
	if base.open && !fresh.open {
		base, other = fresh, base
	}
	if base.Bytes, err = otlpwire.UnionLinks(nil, base.Bytes, other.Bytes); err != nil {
		return fmt.Errorf("stored span: %w", err)
	}
	m.spans[i] = base
	return nil
}

func (m *merger) addRows(rows []block.Row, received int64) error {
	for _, r := range rows {
		if err := m.add(Span{Origin: r.Origin, Bytes: r.Span, Received: received}); err != nil {
			return err
		}
	}
	return nil
}

func (m *merger) addHead(spans []head.Span) error {
	for _, s := range spans {
		if err := m.add(fromHead(s)); err != nil {
			return err
		}
	}
	return nil
}

// answer returns the spans alone.
func (m *merger) answer() []Span {
	if len(m.spans) == 0 {
		return nil
	}
	out := make([]Span, len(m.spans))
	for i := range m.spans {
		out[i] = m.spans[i].Span
	}
	return out
}

func fromHead(s head.Span) Span { return Span{Origin: s.Origin, Bytes: s.Bytes, Received: s.Received} }

// versions adds all versions of one span.
func (v *view) versions(m *merger, id *head.Identity) error {
	if err := v.blockVersions(m, id); err != nil {
		return err
	}
	for _, h := range v.heads() {
		if s, found := h.Span(id); found {
			if err := m.add(fromHead(s)); err != nil {
				return err
			}
		}
	}
	return nil
}

// blockVersions adds the versions of one span that lie in blocks.
func (v *view) blockVersions(m *merger, id *head.Identity) error {
	trace, span := pcommon.TraceID(id.Trace), pcommon.SpanID(id.Span)
	for _, p := range v.blocks {
		rows, err := p.block.Span(trace, span)
		if err != nil {
			return err
		}
		for _, r := range rows {
			info, err := head.Peek(r.Span)
			if err != nil {
				return fmt.Errorf("stored span: %w", err)
			}
			if info.Kind != id.Kind {
				continue
			}
			if err := m.addRows([]block.Row{r}, p.info.ReceivedMax); err != nil {
				return err
			}
		}
	}
	return nil
}
