package ring

import (
	linked "container/list"
	"math"
	"time"
)

// client is what the ring knows of one client.
type client struct {
	id      uint64
	held    size           // waiting and in flight
	outside int            // requests that wait for space
	flows   [levels]uint64 // where its next entry of each priority would start; see service
	seen    int64          // when it last pushed or held something, as far as noticed
	passed  uint64         // number of the last admitBlocked that passed one of its requests over
	at      *linked.Element
}

func (cl *client) active() bool { return cl.held.items > 0 || cl.outside > 0 }

const (
	// remember is for how long a client that does nothing counts, nanoseconds.
	remember = int64(10 * time.Second)
	// maxClients are told apart; those beyond are one together, restID.
	maxClients = 1024
	restID     = math.MaxUint64
)

// clients are those that are active or were until a while ago: the ones that
// share the ring. Nobody is not one of them.
type clients struct {
	known  map[uint64]*client
	bySeen *linked.List // of *client, the longest unseen first
	nobody client       // id 0: whoever is not held to a share
}

func newClients() clients {
	return clients{known: map[uint64]*client{}, bySeen: linked.New()}
}

// see returns the client with this id, which is pushing.
func (c *clients) see(now int64, id uint64) *client {
	if id == 0 {
		return &c.nobody
	}
	c.expire(now)
	cl := c.known[id]
	if cl == nil && len(c.known) >= maxClients {
		id = restID
		cl = c.known[id]
	}
	if cl == nil {
		cl = &client{id: id}
		cl.at = c.bySeen.PushBack(cl)
		c.known[id] = cl
	}
	c.touch(now, cl)
	return cl
}

func (c *clients) touch(now int64, cl *client) {
	if cl != &c.nobody {
		cl.seen = now
		c.bySeen.MoveToBack(cl.at)
	}
}

// expire forgets those that have not been active for a while.
func (c *clients) expire(now int64) {
	for e := c.bySeen.Front(); e != nil; e = c.bySeen.Front() {
		cl := e.Value.(*client)
		switch {
		case now-cl.seen < remember:
			return
		case cl.active():
			c.touch(now, cl)
		default:
			c.bySeen.Remove(e)
			delete(c.known, cl.id)
		}
	}
}

func (c *clients) take(cl *client, s size) { cl.held = cl.held.plus(s) }

func (c *clients) give(now int64, cl *client, s size) {
	cl.held = cl.held.minus(s)
	if !cl.active() {
		c.touch(now, cl)
	}
}

// fair reports whether a request would leave its client within its share of
// bound.
func (c *clients) fair(cl *client, request, bound size) bool {
	if cl == &c.nobody || len(c.known) <= 1 {
		return true
	}
	n := int64(len(c.known))
	return cl.held.plus(request).within(size{bound.items / n, bound.bytes / n})
}

// beyond are the clients that have used up their share of bound.
func (c *clients) beyond(bound size) map[uint64]struct{} {
	all := map[uint64]struct{}{}
	for id, cl := range c.known {
		if !c.fair(cl, size{items: 1}, bound) {
			all[id] = struct{}{}
		}
	}
	return all
}

// ceiling is up to where those beyond their share may fill the ring. The rest,
// a sixteenth, is for others.
func (c *clients) ceiling(bound size) size {
	if len(c.known) <= 1 {
		return bound
	}
	return size{bound.items - (bound.items+15)/16, bound.bytes - (bound.bytes+15)/16}
}
