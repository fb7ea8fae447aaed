package query

import (
	"slices"

	"github.com/otelscope/otelscope/internal/store"
)

// earliest keeps, of spans that come in any order, the earliest after a
// moment, as many as two bounds allow. It holds no more than twice of what
// they allow, and one span.
type earliest struct {
	after    moment // the zero moment: nothing is before
	limit    int
	maxBytes int

	kept  []timed
	bytes int
	// left is the earliest span that was left out, if any was; later ones
	// would leave a hole.
	more bool
	left moment
}

// timed is a span and its moment.
type timed struct {
	store.Span
	moment moment
}

func (e *earliest) reset() { e.kept, e.bytes, e.more = nil, 0, false }

func (e *earliest) add(span store.Span, at moment) {
	if at.ref.IsZero() || at.compare(e.after) <= 0 || e.more && at.compare(e.left) > 0 {
		return
	}
	e.kept = append(e.kept, timed{span, at})
	e.bytes += len(span.Origin) + len(span.Bytes)
	if len(e.kept) > 2*e.limit || e.bytes > 2*e.maxBytes {
		e.cut()
	}
}

// cut leaves what the bounds allow, in order. The first span stays whatever
// its size.
func (e *earliest) cut() {
	slices.SortFunc(e.kept, func(a, b timed) int { return a.moment.compare(b.moment) })
	n := 0
	for e.bytes = 0; n < len(e.kept) && n < e.limit; n++ {
		size := len(e.kept[n].Origin) + len(e.kept[n].Bytes)
		if n > 0 && e.bytes+size > e.maxBytes {
			break
		}
		e.bytes += size
	}
	if n < len(e.kept) {
		e.more, e.left = true, e.kept[n].moment
	}
	clear(e.kept[n:])
	e.kept = e.kept[:n]
}
