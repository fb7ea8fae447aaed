package store

import (
	"cmp"
	"slices"

	"github.com/otelscope/otelscope/internal/store/block"
	"github.com/otelscope/otelscope/internal/store/head"
	"github.com/otelscope/otelscope/internal/store/manifest"
)

// plan is what becomes of a frozen head's rows.
type plan struct {
	rows  []block.Row    // into the block
	carry []head.Span    // on to the next segment
	info  manifest.Block // arrivals and whether open calls are among rows
}

// planOf decides for each row of a head. Without bounded all open calls are
// carried that can be.
func (e *engine) planOf(h *head.Head, resends *resends, bounded bool) (*plan, error) {
	n := h.Sizes().Spans
	p := &plan{rows: make([]block.Row, 0, n)}
	var open []head.Span
	var buf []head.Span
	for first := 0; first < n; first += scanChunk {
		buf = h.Rows(buf[:0], first, first+scanChunk, false)
		again := buf[:0]
		for i, s := range buf {
			switch {
			case s.Open:
				open = append(open, s)
			case resends.may(uint32(first + i)):
				again = append(again, s)
			default:
				p.add(s.Origin, s.Bytes, s.Received)
			}
		}
		again, err := e.dropKnown(again)
		if err != nil {
			return nil, err
		}
		for _, s := range again {
			p.add(s.Origin, s.Bytes, s.Received)
		}
	}
	return p, e.planOpen(p, open, bounded)
}

func (p *plan) add(origin, span []byte, received int64) {
	if len(p.rows) == 0 || received < p.info.ReceivedMin {
		p.info.ReceivedMin = received
	}
	p.info.ReceivedMax = max(p.info.ReceivedMax, received)
	p.rows = append(p.rows, block.Row{Origin: origin, Span: span})
}

// planOpen decides for the open calls: what a block has complete already is
// not open any more; the rest is carried, the newest first, as far as the
// bounds go.
func (e *engine) planOpen(p *plan, open []head.Span, bounded bool) error {
	slices.SortStableFunc(open, func(a, b head.Span) int { return cmp.Compare(b.Received, a.Received) })
	bytes, overflow := int64(0), int64(0)
	for _, s := range open {
		info, err := head.Peek(s.Bytes)
		if err != nil {
			return err
		}
		// Without an identity it can never be completed, and carrying it could
		// double it.
		if info.Exists() {
			closed, err := e.closeOpen(p, s, &info.Identity)
			if err != nil {
				return err
			}
			if closed {
				continue
			}
			bytes += int64(len(s.Bytes))
			if !bounded || len(p.carry) < e.cfg.MaxOpenCalls && bytes <= e.cfg.MaxOpenBytes {
				p.carry = append(p.carry, s)
				continue
			}
			overflow++
		}
		p.add(s.Origin, s.Bytes, s.Received)
		p.info.Level = levelHasOpen
	}
	if overflow > 0 {
		e.cfg.Observe(Event{Kind: EventOverflow, Spans: overflow})
	}
	slices.Reverse(p.carry) // in the order of arrival
	return nil
}

// closeOpen handles an open call whose complete version lies in a block: a
// retry that came late. If it has links which that version lacks, the version
// with all of them goes into the new block. Calls that were carried met their
// complete version in the head, if there was one.
func (e *engine) closeOpen(p *plan, s head.Span, id *head.Identity) (closed bool, err error) {
	if s.Carried {
		return false, nil
	}
	var m merger
	v := e.views.acquire()
	defer e.views.release(v)
	if err := v.blockVersions(&m, id); err != nil || len(m.spans) == 0 || m.spans[0].open {
		return false, err
	}
	complete := len(m.spans[0].Bytes)
	if err := m.add(Span{Origin: s.Origin, Bytes: s.Bytes, Received: s.Received}); err != nil {
		return false, err
	}
	if united := m.spans[0]; len(united.Bytes) > complete {
		p.add(united.Origin, united.Bytes, united.Received)
	}
	return true, nil
}
