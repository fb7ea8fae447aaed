package head

// Span is one span of the head. Its slices are parts of the head's immutable
// memory.
type Span struct {
	Origin   []byte // ResourceSpans without spans
	Bytes    []byte // Span
	Received int64  // nanoseconds since the epoch
	Open     bool
	Carried  bool // came by a Batch with Carried set
}

func (h *Head) span(r *row) Span {
	return Span{Origin: h.origins[r.origin], Bytes: h.bytes(r), Received: r.received, Open: r.flags&flagOpen != 0, Carried: r.flags&flagCarried != 0}
}

// newestOf returns a trace's newest row, plus one; 0 if it has none.
func (h *Head) newestOf(id [16]byte) uint32 {
	slot, found := h.byTrace.find(traceHash(&id), func(n uint32) bool { return h.row(n).id.Trace == id })
	if !found {
		return 0
	}
	return h.byTrace.number(slot) + 1
}

// Span returns the span with an identity.
func (h *Head) Span(id *Identity) (Span, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	n, found := h.find(id)
	if !found {
		return Span{}, false
	}
	return h.span(h.row(n)), true
}

func (h *Head) find(id *Identity) (number uint32, found bool) {
	slot, found := h.byIdentity.find(identityHash(id), func(n uint32) bool { return h.row(n).id == *id })
	if !found {
		return 0, false
	}
	return h.byIdentity.number(slot), true
}

// Event returns the spans that came from a native event, those that were last
// indexed first. A span of which several open versions came may be there twice.
func (h *Head) Event(id string) []Span {
	candidates := h.eventSpans(textHash([]byte(id)))
	out := candidates[:0]
	for _, s := range candidates {
		if info, err := Peek(s.Bytes); err == nil && info.HasEvent(id) {
			out = append(out, s)
		}
	}
	return out
}

func (h *Head) eventSpans(hash uint64) []Span {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var out []Span
	for _, n := range h.byEvent.rows(nil, hash) {
		out = append(out, h.span(h.row(n)))
	}
	return out
}

// Identity returns the identity of a row; spans without one have what they have
// of it.
func (h *Head) Identity(row uint32) Identity {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.row(row).id
}

// At appends to dst the spans of rows.
func (h *Head) At(dst []Span, rows []uint32) []Span {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, n := range rows {
		dst = append(dst, h.span(h.row(n)))
	}
	return dst
}

// Rows appends to dst the spans of the rows first to last-1; of these rows
// only open calls if open is set. Rows are numbered from 0 to Sizes().Spans-1,
// in the order in which their identities arrived first.
func (h *Head) Rows(dst []Span, first, last int, open bool) []Span {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for n := first; n < min(last, h.rows); n++ {
		if r := h.row(uint32(n)); !open || r.flags&flagOpen != 0 {
			dst = append(dst, h.span(r))
		}
	}
	return dst
}
