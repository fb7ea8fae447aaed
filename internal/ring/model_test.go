package ring

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is the ring as a reader of its contract would write it down: plain
// slices, searched from end to end.
type model struct {
	t        *rapid.T
	core     *core[int]
	now      int64
	overflow Overflow
	limit    size
	bound    size
	unfair   int64

	clients  map[uint64]*modelClient // without 0
	nobody   [levels]uint64          // flows of client 0
	time     uint64                  // of service
	greatest uint64                  // start of any flow
	served   uint64

	waiting  []modelEntry // in the order of arrival
	held     map[*Batch[int]][]modelEntry
	requests map[*Completion]*request
	blocked  []*modelPush
	next     int
	closed   bool

	// The turns that were given in a partition since it was empty last.
	turns map[int][]modelTurn
}

type modelClient struct {
	last  int64 // when it pushed or held something
	flows [levels]uint64
}

type modelTurn struct{ keys, turn uint64 }

type modelEntry struct {
	work        int
	partition   int
	size        size
	priority    Priority
	client      uint64
	keys        uint64
	start, turn uint64
	request     *request
}

type request struct {
	left int
	err  error
}

type modelPush struct {
	real   *blockedPush[int]
	client uint64
	parts  []Part[int]
	total  size
}

var errModel = errors.New("failed by the test")

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{
			Partitions: rapid.IntRange(1, 4).Draw(t, "partitions"),
			MaxItems:   rapid.Int64Range(1, 30).Draw(t, "max items"),
			MaxBytes:   rapid.Int64Range(1, 60).Draw(t, "max bytes"),
			Overflow:   Overflow(rapid.IntRange(0, 4).Draw(t, "overflow")),
		}
		m := &model{
			t: t, core: newCore[int](cfg), overflow: cfg.Overflow, limit: size{cfg.MaxItems, cfg.MaxBytes},
			held: map[*Batch[int]][]modelEntry{}, requests: map[*Completion]*request{},
			clients: map[uint64]*modelClient{}, turns: map[int][]modelTurn{},
		}
		m.bound = m.limit
		t.Repeat(map[string]func(*rapid.T){
			"push":    m.push,
			"push 2":  m.push,
			"take":    m.take,
			"release": m.release,
			"give up": m.giveUp,
			"close":   m.close,
			"change":  m.change,
			"pass":    m.pass,
			"":        m.check,
		})
	})
}

func (m *model) push(t *rapid.T) {
	client := rapid.Uint64Range(0, 3).Draw(t, "client")
	parts := make([]Part[int], rapid.IntRange(1, 4).Draw(t, "parts"))
	var total size
	for i := range parts {
		m.next++
		parts[i] = Part[int]{
			Partition: rapid.IntRange(-1, m.core.shared()-1).Draw(t, "partition"),
			Work:      m.next,
			Items:     rapid.IntRange(1, 8).Draw(t, "items"),
			Bytes:     rapid.Int64Range(0, 10).Draw(t, "bytes"),
			Priority:  Priority(rapid.IntRange(0, 2).Draw(t, "priority")),
			Keys:      rapid.SampledFrom([]uint64{0, 1, 2, 3, 1 << 63, 1<<63 | 2}).Draw(t, "keys"),
		}
		total = total.plus(parts[i].size())
	}
	answer, blocked, err := m.core.push(m.now, client, parts)
	if m.closed {
		require.ErrorIs(t, err, ErrClosed)
		return
	}
	if !total.within(m.limit) {
		var tooLarge *TooLargeError
		require.ErrorAs(t, err, &tooLarge)
		return
	}
	m.age()
	if client != 0 {
		if m.clients[client] == nil {
			m.clients[client] = &modelClient{}
		}
		m.clients[client].last = m.now
	}
	if m.overflow != Block {
		require.Nil(t, blocked)
		m.decide(t, client, parts, total, answer, err)
		return
	}
	goes := m.fits(total) && m.fair(client, total)
	if len(m.blocked) > 0 {
		first := m.blocked[0]
		goes = m.fits(total) && m.inShare(client, total) && !m.waitsOutside(client) && !m.inShare(first.client, first.total)
	}
	switch {
	case goes:
		require.NoError(t, err)
		m.admit(client, parts, answer)
	case blocked != nil:
		m.blocked = append(m.blocked, &modelPush{blocked, client, parts, total})
	default:
		m.refused(t, total, answer, err)
	}
}

func (m *model) refused(t *rapid.T, total size, answer *Completion, err error) {
	require.ErrorIs(t, err, ErrFull)
	require.Nil(t, answer)
	if m.fits(total) {
		m.unfair += total.items
	}
}

// decide follows what became of a request that does not wait.
func (m *model) decide(t *rapid.T, client uint64, parts []Part[int], total size, answer *Completion, err error) {
	switch {
	case m.fits(total) && (m.overflow != Refuse || m.fair(client, total)):
		require.NoError(t, err)
		m.admit(client, parts, answer)
	case m.overflow == DropNewest:
		require.NoError(t, err)
		require.ErrorIs(t, answer.Err(), ErrDropped)
	case m.overflow == DropOldest && err == nil:
		goal := m.goal()
		for !m.used().plus(total).within(goal) {
			m.drop(0)
		}
		m.admit(client, parts, answer)
	case m.overflow == DropOldest:
		var flight size
		for b := range m.held {
			flight = flight.plus(size{int64(b.Items), b.Bytes})
		}
		require.False(t, flight.plus(total).within(m.goal()), "drops make no room")
		require.ErrorIs(t, err, ErrFull)
	case m.overflow == ByPriority:
		m.admitByPriority(t, client, parts, answer, err)
	default:
		m.refused(t, total, answer, err)
	}
}

func (m *model) admit(client uint64, parts []Part[int], answer *Completion) {
	r := &request{left: len(parts)}
	m.requests[answer] = r
	for _, p := range parts {
		flow := &m.nobody[p.Priority]
		if client != 0 {
			flow = &m.clients[client].flows[p.Priority]
		}
		e := modelEntry{
			work: p.Work, partition: p.Partition, size: p.size(), priority: p.Priority, client: client, keys: p.Keys, request: r,
			start: max(m.time, *flow),
		}
		*flow = e.start + uint64(16*p.Items/[]int{1, 4, 16}[p.Priority])
		m.greatest = max(m.greatest, *flow)
		e.turn = e.start
		for _, other := range m.turns[p.Partition] {
			if other.keys&e.keys != 0 {
				e.turn = max(e.turn, other.turn)
			}
		}
		m.turns[p.Partition] = append(m.turns[p.Partition], modelTurn{e.keys, e.turn})
		m.waiting = append(m.waiting, e)
	}
}

func (m *model) admitByPriority(t *rapid.T, client uint64, parts []Part[int], answer *Completion, err error) {
	taken := map[int]bool{}
	goal := m.goal()
	var in size
	for p := High; ; p-- {
		for _, part := range parts {
			if part.Priority != p {
				continue
			}
			var drops []int
			need := m.used().plus(in).plus(part.size())
			for level := Low; level < p; level++ {
				for _, e := range m.waiting {
					if e.priority == level && !need.within(goal) {
						need = need.minus(e.size)
						drops = append(drops, e.work)
					}
				}
			}
			if !need.within(goal) {
				continue
			}
			for _, work := range drops {
				m.drop(slices.IndexFunc(m.waiting, func(e modelEntry) bool { return e.work == work }))
			}
			taken[part.Work] = true
			in = in.plus(part.size())
		}
		if p == Low {
			break
		}
	}
	admitted := slices.DeleteFunc(slices.Clone(parts), func(p Part[int]) bool { return !taken[p.Work] })
	require.Equal(t, len(admitted) < len(parts), errors.Is(err, ErrFull))
	m.admit(client, admitted, answer)
}

func (m *model) drop(i int) {
	m.waiting[i].request.done(ErrDropped)
	if cl := m.clients[m.waiting[i].client]; cl != nil {
		cl.last = m.now
	}
	m.leave(i)
}

func (r *request) done(err error) {
	if r.err == nil {
		r.err = err
	}
	r.left--
}

func (m *model) take(t *rapid.T) {
	limit := rapid.IntRange(1, 20).Draw(t, "max")
	b, _ := m.core.take(m.now, Want{Max: limit})
	free := map[int]bool{}
	for p := Shared; p < m.core.shared(); p++ {
		free[p] = true
	}
	for other := range m.held {
		for _, e := range other.Entries {
			free[e.Partition] = e.Partition == Shared
		}
	}
	ready := func(e modelEntry) bool { return free[e.partition] }
	first := m.best(ready)
	if first < 0 {
		require.Nil(t, b, "no partition has work")
		return
	}
	require.NotNil(t, b)
	m.time = max(m.time, m.waiting[first].start)

	var held []modelEntry
	items := 0
	for i := first; i >= 0 && items < limit; i = m.best(ready) {
		p := m.waiting[i].partition
		for i >= 0 && (len(held) == 0 || items+int(m.waiting[i].size.items) <= limit) {
			require.Less(t, len(held), len(b.Entries), "the batch is as large as it may be")
			require.Equal(t, m.waiting[i].work, b.Entries[len(held)].Work, "the best partition, and the best in it")
			m.requireFirstOfItsKeys(t, i)
			items += int(m.waiting[i].size.items)
			held = append(held, m.waiting[i])
			m.leave(i)
			i = m.best(func(e modelEntry) bool { return e.partition == p })
		}
		free[p] = false
	}
	require.Len(t, b.Entries, len(held))
	m.served += uint64(items)
	m.time += m.served / itemsPerTick
	m.served %= itemsPerTick
	m.held[b] = held
}

func (m *model) release(t *rapid.T) {
	for b, held := range m.held {
		var err error
		if rapid.Bool().Draw(t, "fails") {
			err = errModel
		}
		for i, e := range b.Entries {
			if rapid.Bool().Draw(t, "completed by itself") {
				e.Complete(nil)
				held[i].request.done(nil)
			} else {
				held[i].request.done(err)
			}
		}
		m.age()
		delete(m.held, b)
		m.core.release(m.now, b, err)
		m.letIn(t)
		return
	}
}

// letIn follows the requests that the last step let in: in the order of
// arrival, and past those that are beyond their share only such of other
// clients that are within theirs.
func (m *model) letIn(t *rapid.T) {
	var passed []*modelPush
	for len(m.blocked) > 0 {
		w := m.blocked[0]
		goes := m.fits(w.total) && m.fair(w.client, w.total)
		if len(passed) > 0 {
			own := slices.ContainsFunc(passed, func(p *modelPush) bool { return p.client == w.client })
			goes = m.fits(w.total) && m.inShare(w.client, w.total) && !own
		}
		select {
		case err := <-w.real.decide:
			require.NoError(t, err)
			require.True(t, goes, "it was its turn")
			m.blocked = m.blocked[1:]
			m.admit(w.client, w.parts, w.real.answer)
			continue
		default:
			require.False(t, goes, "who waits comes in as soon as there is room")
		}
		if len(passed) == 0 && m.inShare(w.client, w.total) {
			return
		}
		passed = append(passed, w)
		m.blocked = m.blocked[1:]
	}
	m.blocked = passed
}

func (m *model) giveUp(t *rapid.T) {
	if len(m.blocked) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.blocked)-1).Draw(t, "who")
	m.age()
	require.True(t, m.core.giveUp(m.now, m.blocked[i].real))
	m.blocked = slices.Delete(m.blocked, i, i+1)
	m.letIn(t)
}

// change sets what can be set while the ring works.
func (m *model) change(t *rapid.T) {
	m.age()
	if rapid.Bool().Draw(t, "the bound") {
		fraction := rapid.SampledFrom([]float64{0.01, 0.5, 0.75, 1, 1}).Draw(t, "fraction")
		m.bound = size{
			max(1, int64(float64(m.limit.items)*fraction)),
			max(1, int64(float64(m.limit.bytes)*fraction)),
		}
		m.core.setBound(m.now, fraction)
		m.letIn(t)
		return
	}
	m.overflow = Overflow(rapid.IntRange(0, 4).Draw(t, "overflow"))
	m.core.setOverflow(m.now, m.overflow)
	for m.overflow != Block && len(m.blocked) > 0 {
		w := m.blocked[0]
		m.blocked = m.blocked[1:]
		m.decide(t, w.client, w.parts, w.total, w.real.answer, <-w.real.decide)
	}
}

func (m *model) close(t *rapid.T) {
	if rapid.IntRange(0, 20).Draw(t, "really") > 0 {
		return
	}
	m.age()
	m.core.close(m.now)
	m.closed = true
	for _, w := range m.blocked {
		require.ErrorIs(t, <-w.real.decide, ErrClosed)
	}
	m.blocked = nil
}

func (m *model) check(t *rapid.T) {
	checkInvariants(t, m.core)
	for answer, r := range m.requests {
		select {
		case <-answer.Done():
			require.Zero(t, r.left, "answered when all parts are complete")
			require.Equal(t, r.err, answer.Err())
			delete(m.requests, answer)
		default:
			require.NotZero(t, r.left, "not answered before all parts are complete")
		}
	}
	require.Equal(t, m.closed && len(m.waiting) == 0, m.core.finished())
	require.Equal(t, m.unfair, m.core.unfair)
	require.Equal(t, m.time, m.core.service.time)
}
