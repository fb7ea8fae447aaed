package ring

import (
	"math"
	"sync/atomic"
	"time"
)

// door is what Full goes by: a copy of what the core said last, that can be
// read without the ring's lock.
type door struct {
	most int64 // bytes of the whole ring

	fair, plain atomic.Int64  // room, as core.room has it
	pressure    atomic.Uint64 // bits of a float64
	beyond      atomic.Pointer[map[uint64]struct{}]
	looked      int64 // when beyond was made; under the ring's lock
}

// doorPause is how old the list of clients beyond their share may become.
const doorPause = 20 * time.Millisecond

// publish needs the ring's lock.
func (d *door) publish(fair, plain int64, beyond func(bound size) map[uint64]struct{}, bound size, now int64) {
	d.fair.Store(fair)
	d.plain.Store(plain)
	if d.beyond.Load() == nil || now-d.looked >= int64(doorPause) {
		d.looked = now
		all := beyond(bound)
		d.beyond.Store(&all)
	}
}

func (d *door) full(client uint64, bytes, ahead int64) bool {
	if bytes > d.most {
		return false // that is another answer
	}
	room := d.fair.Load()
	if _, hog := (*d.beyond.Load())[client]; hog {
		room = d.plain.Load()
	} else if client != 0 {
		ahead = 0 // what others have sent takes none of the room that is kept for it
	}
	return room != unlimited && bytes+ahead > room
}

// unlimited is the room of a ring that refuses nobody for want of it.
const unlimited = math.MaxInt64

// room returns how many bytes a request may have, at least, so that it is not
// refused: one of a client within its share, and any other. -1: none may.
func (c *core[W]) room() (fair, plain int64) {
	if c.closed || c.overflow != Refuse && c.overflow != Block {
		return unlimited, unlimited
	}
	fair, plain = c.below(c.bound), c.below(c.clients.ceiling(c.bound))
	if c.overflow == Block {
		outside := left(c.outside, c.limit)
		fair, plain = max(fair, outside), max(plain, outside)
	}
	return fair, plain
}

// below is how many bytes fit under a bound. Into an empty ring everything
// does.
func (c *core[W]) below(bound size) int64 {
	used := c.used()
	if used == (size{}) {
		return unlimited
	}
	return left(used, bound)
}

func left(used, bound size) int64 {
	if used.items >= bound.items || used.bytes > bound.bytes {
		return -1
	}
	return bound.bytes - used.bytes
}
