package assemble

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// verdict is what the contract says of an event, other events named by id.
type verdict struct {
	trace, parent string
	state, by     string // of a call: how it ended, and by which return
	end           int64
	ambiguous     bool
}

// model is the contract in its plainest form: no transactions, bounds,
// restarts or sender's contexts, a whole history at once.
type model struct {
	verdicts map[string]*verdict
	procs    map[string]*modelProcess
}

type modelProcess struct {
	root      string // event that began the activity; "": none
	byReceive bool
	open      []*event.Event
	waiting   []*event.Event
}

func judge(events []*event.Event) map[string]*verdict {
	m := model{verdicts: map[string]*verdict{}, procs: map[string]*modelProcess{}}
	for _, ev := range events {
		key := ev.Node + "/" + ev.Process
		if m.procs[key] == nil {
			m.procs[key] = &modelProcess{}
		}
		m.take(m.procs[key], ev)
		if ev.Kind == event.KindExit {
			delete(m.procs, key)
		}
	}
	return m.verdicts
}

func (m *model) take(p *modelProcess, ev *event.Event) {
	taken := ev.Kind == event.KindReceive && !ev.Arrived
	call := ev.Kind == event.KindCall
	if ev.Kind == event.KindReturn && m.answer(p, ev) {
		return
	}
	v := &verdict{trace: ev.ID, end: ev.Time}
	m.verdicts[ev.ID] = v
	switch {
	case len(p.open) == 0 && (taken || call && !p.byReceive):
		p.root, p.byReceive = ev.ID, taken
	case ev.Kind == event.KindReceive && ev.Arrived, p.root == "":
	default:
		v.trace, v.parent = p.root, p.root
		if n := len(p.open); n > 0 {
			v.parent = p.open[n-1].ID
		}
	}
	switch ev.Kind {
	case event.KindCall:
		m.open(p, ev, v)
	case event.KindReturn:
		v.state = causal.CallOrphan
		if ev.CallID != "" {
			p.waiting = append(p.waiting, ev)
		}
	case event.KindExit:
		m.closeAbove(p, 0, causal.CallAbandoned, ev.Time)
	}
}

func (m *model) open(p *modelProcess, ev *event.Event, v *verdict) {
	v.state = causal.CallOpen
	for i, w := range p.waiting {
		if w.CallID == callID(ev) {
			v.state, v.by, v.end = causal.CallReturned, w.ID, max(ev.Time, w.Time)
			p.waiting = append(append([]*event.Event{}, p.waiting[:i]...), p.waiting[i+1:]...)
			delete(m.verdicts, w.ID)
			return
		}
	}
	p.open = append(p.open, ev)
}

// answer reports whether a return closes an open call, and closes it.
func (m *model) answer(p *modelProcess, ev *event.Event) bool {
	at, same := -1, 0
	for i, c := range p.open {
		switch {
		case ev.CallID == "" && c.Name == ev.Name:
			at, same = i, same+1
		case ev.CallID != "" && callID(c) == ev.CallID:
			at = i
		}
	}
	if at < 0 {
		return false
	}
	m.closeAbove(p, at+1, causal.CallUnwound, ev.Time)
	v := m.verdicts[p.open[at].ID]
	m.closeAbove(p, at, causal.CallReturned, ev.Time)
	v.by, v.ambiguous = ev.ID, same > 1
	return true
}

func (m *model) closeAbove(p *modelProcess, depth int, state string, end int64) {
	for _, c := range p.open[depth:] {
		v := m.verdicts[c.ID]
		v.state, v.end = state, max(end, c.Time)
	}
	p.open = p.open[:depth]
}

// seen is what the spans of a stage say, in the model's terms.
func (s *stage) seen(events []*event.Event) map[string]*verdict {
	names, answered := map[string]string{"": ""}, map[string]bool{}
	for _, ev := range events {
		trace, span := IDs(ev)
		names[trace.String()], names[span.String()] = ev.ID, ev.ID
	}
	verdicts := map[string]*verdict{}
	for _, v := range s.store.best() {
		m := v.span.Attributes()
		_, ambiguous := m.Get(causal.AttrCallMatch)
		by := str(m, causal.AttrReturnEventID)
		answered[by] = true
		verdicts[str(m, causal.AttrEventID)] = &verdict{
			trace: names[v.span.TraceID().String()], parent: names[v.span.ParentSpanID().String()],
			state: str(m, causal.AttrCallState), by: by, end: int64(v.span.EndTimestamp()), ambiguous: ambiguous,
		}
	}
	for id := range answered {
		delete(verdicts, id)
	}
	return verdicts
}

// Spans are what the contract says, however a history is taken.
func TestSpansFollowTheContract(t *testing.T) {
	rapid.Check(t, checkContract)
}

func FuzzSpansFollowTheContract(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(checkContract))
}

func checkContract(t *rapid.T) {
	events := history(t)
	for _, ev := range events {
		ev.TraceID, ev.SpanID, ev.ParentSpanID = [16]byte{}, [8]byte{}, [8]byte{}
	}
	s := storm(t, testConfig(), events, true)
	require.Equal(t, judge(events), s.seen(events))
}
