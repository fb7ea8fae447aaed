package head

import (
	"sync"

	"github.com/otelscope/otelscope/internal/store/field"
)

// ZoneRows is how many rows, in the order of arrival, make a zone; the last may
// have fewer.
const ZoneRows = 1 << zoneShift

const zoneShift = 10

// Zone says between what times its rows began, and perhaps more than that:
// what a row was before it was replaced still counts. In nanoseconds.
type Zone struct{ MinStart, MaxStart uint64 }

// began notes the start of a row's version.
func (h *Head) began(number uint32, start uint64) {
	zone := int(number >> zoneShift)
	if zone == len(h.zones) {
		h.zones = append(h.zones, Zone{start, start})
		return
	}
	z := &h.zones[zone]
	z.MinStart, z.MaxStart = min(z.MinStart, start), max(z.MaxStart, start)
}

// Zones appends to dst the zones that there are now, and returns the sizes at
// that moment.
func (h *Head) Zones(dst []Zone) ([]Zone, Sizes) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return append(dst, h.zones...), h.sizes
}

// census is what fields and values the rows have, kept up when someone asks.
type census struct {
	mu    sync.Mutex
	taker *field.Taker
	buf   []Span

	// Guarded by the head's lock.
	taken    int      // rows that were looked at
	replaced []uint32 // of them, those that another version replaced since
}

// censusRows is how many rows are collected under the lock at once.
const censusRows = 256

// Census calls f with what fields and values the rows have now; those of
// versions that were replaced may be among them. It must not be kept.
func (h *Head) Census(f func(*field.Census)) error {
	c := &h.census
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taker == nil {
		c.taker = field.NewTaker()
	}
	for c.buf = h.uncounted(c.buf[:0]); len(c.buf) > 0; c.buf = h.uncounted(c.buf[:0]) {
		for _, s := range c.buf {
			if err := c.taker.Take(s.Origin, s.Bytes); err != nil {
				return err
			}
		}
	}
	f(c.taker.Census)
	return nil
}

// uncounted appends some rows that the census lacks.
func (h *Head) uncounted(dst []Span) []Span {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &h.census
	for len(dst) < censusRows && len(c.replaced) > 0 {
		last := len(c.replaced) - 1
		dst = append(dst, h.span(h.row(c.replaced[last])))
		c.replaced = c.replaced[:last]
	}
	for len(dst) < censusRows && c.taken < h.rows {
		dst = append(dst, h.span(h.row(uint32(c.taken))))
		c.taken++
	}
	return dst
}
