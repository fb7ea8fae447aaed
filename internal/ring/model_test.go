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
	overflow Overflow
	limit    size

	waiting  []modelEntry // in the order of arrival
	held     map[*Batch[int]][]modelEntry
	requests map[*Completion]*request
	blocked  []*modelPush
	next     int
	closed   bool
}

type modelEntry struct {
	work      int
	partition int
	size      size
	priority  Priority
	request   *request
}

type request struct {
	left int
	err  error
}

type modelPush struct {
	real  *blockedPush[int]
	parts []Part[int]
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
		}
		t.Repeat(map[string]func(*rapid.T){
			"push":    m.push,
			"push 2":  m.push,
			"take":    m.take,
			"release": m.release,
			"give up": m.giveUp,
			"close":   m.close,
			"":        m.check,
		})
	})
}

func (m *model) used() (s size) {
	for _, e := range m.waiting {
		s = s.plus(e.size)
	}
	for _, b := range m.held {
		for _, e := range b {
			s = s.plus(e.size)
		}
	}
	return s
}

func (m *model) push(t *rapid.T) {
	parts := make([]Part[int], rapid.IntRange(0, 4).Draw(t, "parts"))
	var total size
	for i := range parts {
		m.next++
		parts[i] = Part[int]{
			Partition: rapid.IntRange(-1, m.core.shared()-1).Draw(t, "partition"),
			Work:      m.next,
			Items:     rapid.IntRange(1, 8).Draw(t, "items"),
			Bytes:     rapid.Int64Range(0, 10).Draw(t, "bytes"),
			Priority:  Priority(rapid.IntRange(0, 2).Draw(t, "priority")),
		}
		total = total.plus(parts[i].size())
	}
	answer, blocked, err := m.core.push(0, parts)

	fits := len(m.blocked) == 0 && m.used().plus(total).within(m.limit)
	switch {
	case m.closed:
		require.ErrorIs(t, err, ErrClosed)
	case !total.within(m.limit):
		var tooLarge *TooLargeError
		require.ErrorAs(t, err, &tooLarge)
	case fits:
		require.NoError(t, err)
		m.admit(parts, answer)
	case m.overflow == DropNewest:
		require.NoError(t, err)
		require.ErrorIs(t, answer.Err(), ErrDropped)
	case m.overflow == Block && blocked != nil:
		m.blocked = append(m.blocked, &modelPush{blocked, parts})
	case m.overflow == DropOldest && err == nil:
		for !m.used().plus(total).within(m.limit) {
			m.drop(0)
		}
		m.admit(parts, answer)
	case m.overflow == ByPriority:
		m.admitByPriority(t, parts, answer, err)
	default:
		require.ErrorIs(t, err, ErrFull)
		require.Nil(t, answer)
	}
}

func (m *model) admit(parts []Part[int], answer *Completion) {
	r := &request{left: len(parts)}
	m.requests[answer] = r
	for _, p := range parts {
		m.waiting = append(m.waiting, modelEntry{p.Work, p.Partition, p.size(), p.Priority, r})
	}
}

func (m *model) admitByPriority(t *rapid.T, parts []Part[int], answer *Completion, err error) {
	taken := map[int]bool{}
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
					if e.priority == level && !need.within(m.limit) {
						need = need.minus(e.size)
						drops = append(drops, e.work)
					}
				}
			}
			if !need.within(m.limit) {
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
	m.admit(admitted, answer)
}

func (m *model) drop(i int) {
	m.waiting[i].request.done(ErrDropped)
	m.waiting = slices.Delete(m.waiting, i, i+1)
}

func (r *request) done(err error) {
	if r.err == nil {
		r.err = err
	}
	r.left--
}

func (m *model) take(t *rapid.T) {
	limit := rapid.IntRange(1, 20).Draw(t, "max")
	b, _ := m.core.take(0, Want{Max: limit})
	free := map[int]bool{}
	for _, e := range m.waiting {
		free[e.partition] = true
	}
	for other := range m.held {
		for _, e := range other.Entries {
			if e.Partition != Shared {
				delete(free, e.Partition)
			}
		}
	}
	require.Equal(t, len(free) > 0, b != nil, "there is a batch exactly when a free partition has work")
	if b == nil {
		return
	}
	require.True(t, b.Items <= limit || len(b.Entries) == 1, "size of a batch")
	var held []modelEntry
	for _, e := range b.Entries {
		require.True(t, free[e.Partition], "nobody else holds the partition")
		i := slices.IndexFunc(m.waiting, func(w modelEntry) bool { return w.partition == e.Partition })
		require.Equal(t, m.waiting[i].work, e.Work, "the oldest of its partition")
		held = append(held, m.waiting[i])
		m.waiting = slices.Delete(m.waiting, i, i+1)
	}
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
		delete(m.held, b)
		m.core.release(0, b, err)
		m.letIn(t)
		return
	}
}

// letIn follows the requests that the last step let in.
func (m *model) letIn(t *rapid.T) {
	for len(m.blocked) > 0 {
		first := m.blocked[0]
		var total size
		for i := range first.parts {
			total = total.plus(first.parts[i].size())
		}
		fits := m.used().plus(total).within(m.limit)
		select {
		case err := <-first.real.decide:
			require.NoError(t, err)
			require.True(t, fits, "there is room")
			m.admit(first.parts, first.real.answer)
			m.blocked = m.blocked[1:]
		default:
			require.False(t, fits, "who waits first comes in as soon as there is room")
			return
		}
	}
}

func (m *model) giveUp(t *rapid.T) {
	if len(m.blocked) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.blocked)-1).Draw(t, "who")
	require.True(t, m.core.giveUp(0, m.blocked[i].real))
	m.blocked = slices.Delete(m.blocked, i, i+1)
	m.letIn(t)
}

func (m *model) close(t *rapid.T) {
	if rapid.IntRange(0, 20).Draw(t, "really") > 0 {
		return
	}
	m.core.close()
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
}
