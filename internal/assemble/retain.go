package assemble

import (
	"slices"
	"strings"

	"github.com/otelscope/otelscope/internal/event"
)

// retain returns a copy of ev that shares no memory with it: all its text is
// in one string of its own, but for what names its process, which is p's.
func retain(ev *event.Event, p *process) *event.Event {
	c := *ev
	c.Service, c.Node, c.Process = p.service, p.node, p.name
	c.Error, c.Trigger, c.Recovers, c.Cause = clone(ev.Error), clone(ev.Trigger), clone(ev.Recovers), clone(ev.Cause)
	c.Attributes = clonePairs(ev.Attributes)

	size := 0
	eachText(&c, func(s *string) { size += len(*s) })
	var text strings.Builder
	text.Grow(size)
	eachText(&c, func(s *string) {
		at := text.Len()
		text.WriteString(*s)
		*s = text.String()[at:]
	})
	return &c
}

func clone[T any](v *T) *T {
	if v == nil {
		return nil
	}
	c := *v
	return &c
}

func clonePairs(kvs []event.KeyValue) []event.KeyValue {
	kvs = slices.Clone(kvs)
	for i := range kvs {
		cloneValue(&kvs[i].Value)
	}
	return kvs
}

func cloneValue(v *event.Value) {
	v.Map = clonePairs(v.Map)
	v.Array = slices.Clone(v.Array)
	for i := range v.Array {
		cloneValue(&v.Array[i])
	}
}

// eachText calls f with each string of ev, but for those that name its
// process.
func eachText(ev *event.Event, f func(*string)) {
	for _, s := range [...]*string{
		&ev.ID, &ev.Name, &ev.CallID, &ev.MessageID, &ev.MessageHash,
		&ev.Peer, &ev.PeerNode, &ev.PeerService, &ev.Signal, &ev.Child,
		&ev.Entity, &ev.From, &ev.To, &ev.Outcome, &ev.CauseType, &ev.CorrelationID,
	} {
		f(s)
	}
	if e := ev.Error; e != nil {
		f(&e.Type)
		f(&e.Message)
		f(&e.Stacktrace)
	}
	for _, r := range [...]*event.Ref{ev.Trigger, ev.Recovers, ev.Cause} {
		if r != nil {
			f(&r.Service)
			f(&r.Node)
			f(&r.ID)
			f(&r.MessageID)
		}
	}
	eachPairText(ev.Attributes, f)
}

func eachPairText(kvs []event.KeyValue, f func(*string)) {
	for i := range kvs {
		f(&kvs[i].Key)
		eachValueText(&kvs[i].Value, f)
	}
}

func eachValueText(v *event.Value, f func(*string)) {
	f(&v.Str)
	eachPairText(v.Map, f)
	for i := range v.Array {
		eachValueText(&v.Array[i], f)
	}
}
