package main

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/workload"
)

// edge is one causal relation. Ends are event ids, of a return its call's, or
// for plain spans what refText makes of them.
type edge struct {
	kind          causal.Type
	cause, effect string
}

// into is an effect as far as one kind is concerned.
type into struct {
	kind   causal.Type
	effect string
}

// found is an edge that the collector found.
type found struct {
	edge
	confidence float64
	rule       string
}

// truth is what is true of a plan.
type truth struct {
	edges     map[edge]bool
	instead   map[edge]edge // as right as another edge, which it stands for
	caused    map[into]bool // effects with a cause that is told
	undecided map[into]bool
	known     map[string]bool   // ends that an edge may have
	place     map[string]string // of events: whose trace they lie in
	span      map[string]string // of events: in whose span
}

func newTruth() *truth {
	return &truth{
		edges: map[edge]bool{}, instead: map[edge]edge{}, caused: map[into]bool{}, undecided: map[into]bool{},
		known: map[string]bool{}, place: map[string]string{}, span: map[string]string{},
	}
}

func refText(ref causal.SpanRef) string { return ref.TraceID.String() + "/" + ref.SpanID.String() }

func (t *truth) add(kind causal.Type, cause, effect string) {
	if cause == effect {
		return // a call and its return are one span
	}
	t.edges[edge{kind, cause, effect}] = true
	t.caused[into{kind, effect}] = true
}

func (t *truth) ofSteps(told []workload.Step) {
	for i := range told {
		s := &told[i]
		t.known[s.Span] = true
		t.span[s.Event.ID] = s.Span
		if s.Activity != "" {
			t.place[s.Event.ID] = s.Activity
		}
	}
	for i := range told {
		s := &told[i]
		for _, kind := range s.Undecided {
			t.undecided[into{kind, s.Span}] = true
		}
		for _, c := range s.Causes {
			if !c.SpansOnly {
				t.add(c.Type, t.span[c.ID], s.Span)
			}
		}
	}
}

// ofSpans takes the edges; failed says which spans did. A delivery that fails
// again is not what the one before led to: that is the success in the end, to
// which the last failure led, or any before it.
func (t *truth) ofSpans(edges []workload.SpanEdge, failed func(causal.SpanRef) bool) {
	before := map[causal.SpanRef]causal.SpanRef{}
	for _, e := range edges {
		if e.Type == causal.ErrorPropagation {
			before[e.Effect] = e.Cause
		}
	}
	for _, e := range edges {
		if e.Type == causal.ErrorPropagation {
			if failed(e.Effect) {
				continue
			}
			last := edge{e.Type, refText(e.Cause), refText(e.Effect)}
			for cause, ok := before[e.Cause]; ok; cause, ok = before[cause] {
				t.instead[edge{e.Type, refText(cause), refText(e.Effect)}] = last
			}
		}
		t.add(e.Type, refText(e.Cause), refText(e.Effect))
		if !e.Exact {
			t.undecided[into{e.Type, refText(e.Effect)}] = true
		}
	}
}

// early is the share of edges whose effect is told before its cause.
func early(told []workload.Step) float64 {
	at := map[string]int{}
	for i := range told {
		at[told[i].Event.ID] = i
	}
	edges, before := 0, 0
	for i := range told {
		for _, c := range told[i].Causes {
			if c.Type == causal.ParentChild {
				continue
			}
			edges++
			if at[c.ID] > i {
				before++
			}
		}
	}
	return float64(before) / float64(max(edges, 1))
}

// mix sends requests of spans late and again.
func mix(parcels []parcel, r recipe, seed uint64) []parcel {
	random := rand.New(rand.NewPCG(seed, 0x0719))
	type due struct {
		at     int
		parcel parcel
	}
	var all []due
	for i, p := range parcels {
		at := i
		if r.shuffle > 0 && random.IntN(4) == 0 {
			at += random.IntN(r.shuffle + 1)
		}
		all = append(all, due{at, p})
		if random.Float64() < r.duplicate {
			all = append(all, due{at + random.IntN(r.later+1), p})
		}
	}
	slices.SortStableFunc(all, func(a, b due) int { return cmp.Compare(a.at, b.at) })
	out := make([]parcel, len(all))
	for i, d := range all {
		out[i] = d.parcel
	}
	return out
}
