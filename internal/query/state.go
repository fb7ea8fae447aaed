package query

import (
	"cmp"
	"context"
	"slices"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store"
)

// StateOptions narrows and bounds a question for a state.
type StateOptions struct {
	Place Place // of the entity; a "" stands for any
	// At is when the state is asked for, nanoseconds since the epoch; 0: the
	// last that is known.
	At     uint64
	Filter     // of the edges that tell causes
	Limit  int // transitions that are returned at most; > 0
	// MaxBytes bounds the stored OTLP that the answer is made of, and what is
	// remembered of transitions on the way to it; > 0.
	MaxBytes int
	// Cursor continues the history backwards; "" begins with the state asked
	// for.
	Cursor string
}

// State is what is known of an entity's state at a time.
type State struct {
	Place Place
	// Known says that there are transitions of the entity, at any time.
	Known bool
	// Latest is when the latest transition began of those up to the time.
	Latest uint64
	// State is what the last transition led to or, before the first one that
	// is known, what that led from; "" where it does not say.
	State string
	// Since is the transition that led there, nil before the first; Span is its
	// span.
	Since *Transition
	Span  *store.Span
	// History are the transitions up to the time, in order, the last ones.
	History   []Transition
	Truncated bool   // there is more: of transitions where there is a cursor, else of causes
	Cursor    string // continues the history backwards; "" where nothing is left
}

// Transition is a change of an entity's state.
type Transition struct {
	End        // the span
	Time       uint64
	From, To   string // From is "" where the span does not say
	Version    int64
	HasVersion bool
	Causes     []Edge // that lead to it

	moment moment
}

// EntityState returns the state that an entity had, and how it came to it. An
// entity is what scope.entity.id says, within a service, or a process whose
// state events name no entity; its transitions are the spans that say
// scope.state.to. Those with a version are in the order of their versions, the
// others where time puts them among these. Spans that nothing can name are
// left out. Errors: *AmbiguousError where entities of several places have this
// id, *SizeError, *CursorError, and the source's.
func EntityState(ctx context.Context, src SearchSource, entity string, opts StateOptions) (State, error) {
	h := history{entity: entity, where: newPlacer(opts.Place), maxBytes: opts.MaxBytes}
	var until Range
	if opts.At > 0 {
		until.End = opts.At + 1 // which is no bound at the end of time
	}
	if err := h.read(ctx, src, until); err != nil {
		return State{}, err
	}
	if len(h.transitions) == 0 && until.End > 0 {
		if err := h.read(ctx, src, Range{Start: until.End}); err != nil || len(h.transitions) == 0 {
			return State{}, err
		}
		return State{Place: h.at, Known: true, State: h.transitions[0].From}, nil
	}
	if len(h.transitions) == 0 {
		return State{}, nil
	}
	return h.answer(ctx, src, opts)
}

// history is what is known of an entity's transitions.
type history struct {
	entity   string
	where    *placer
	maxBytes int

	at          Place // where the entity is
	transitions []Transition
	latest      uint64 // when one of them began
	bytes       int    // about what they take
}

// transitionBytes is about what a transition takes without its texts.
const transitionBytes = 256

// read reads the transitions that began within a time, in order.
func (h *history) read(ctx context.Context, src SearchSource, within Range) error {
	sel := store.Selection{
		Start: within.Start, End: within.End,
		Where: append(h.where.selection(), store.Any{
			attributeIs(causal.AttrEntityID, h.entity),
			store.All{attributeIs(causal.AttrProcessID, h.entity), attributeIs(causal.AttrEventKind, stateKind)},
		}),
		NewMatcher:   matcherOf(h.changes),
		IgnoresLinks: true,
	}
	var span otlpwire.Span
	for found, err := range src.Select(ctx, sel) {
		if err != nil {
			return err
		}
		place, err := h.where.of(found)
		if err != nil {
			return err
		}
		if err := span.Parse(found.Bytes); err != nil {
			return err
		}
		if err := h.add(place, &span); err != nil {
			return err
		}
	}
	h.order()
	return h.where.check()
}

// stateKind is the scope.event.kind of a native change of state.
const stateKind = "state"

// changes reports whether a span is a transition of the entity.
func (h *history) changes(s *otlpwire.Span) bool {
	if len(str(s.Attributes, causal.AttrStateTo)) == 0 {
		return false
	}
	if named := str(s.Attributes, causal.AttrEntityID); len(named) > 0 {
		return string(named) == h.entity
	}
	return string(str(s.Attributes, causal.AttrProcessID)) == h.entity &&
		string(str(s.Attributes, causal.AttrEventKind)) == stateKind
}

func (h *history) add(place Place, s *otlpwire.Span) error {
	if len(str(s.Attributes, causal.AttrEntityID)) > 0 {
		place.Node = "" // it is one entity in all of the service
	}
	t := Transition{
		Time:   s.Start,
		From:   string(str(s.Attributes, causal.AttrStateFrom)),
		To:     string(str(s.Attributes, causal.AttrStateTo)),
		moment: momentOf(s),
	}
	t.Ref, t.Event = t.moment.ref, string(str(s.Attributes, causal.AttrEventID))
	t.Version, t.HasVersion = integer(s.Attributes, causal.AttrEntityVersion)
	if t.Ref.IsZero() || !h.where.note(place) {
		return nil
	}
	if h.at != place { // what was taken for the entity before is another
		h.at, h.transitions, h.latest, h.bytes = place, nil, 0, 0
	}
	h.transitions = append(h.transitions, t)
	h.latest = max(h.latest, t.Time)
	h.bytes += transitionBytes + len(t.From) + len(t.To) + len(t.Event)
	if h.bytes > h.maxBytes {
		return &SizeError{Spans: len(h.transitions), Bytes: h.bytes}
	}
	return nil
}

// order puts the transitions in order.
func (h *history) order() {
	slices.SortFunc(h.transitions, func(a, b Transition) int { return a.moment.compare(b.moment) })
	var versioned []Transition
	for _, t := range h.transitions {
		if t.HasVersion {
			versioned = append(versioned, t)
		}
	}
	slices.SortStableFunc(versioned, func(a, b Transition) int { return cmp.Compare(a.Version, b.Version) })
	for i := range h.transitions {
		if h.transitions[i].HasVersion {
			h.transitions[i], versioned = versioned[0], versioned[1:]
		}
	}
}

// answer is the last state, and the page of the history that is asked for.
func (h *history) answer(ctx context.Context, src SearchSource, opts StateOptions) (State, error) {
	end := len(h.transitions)
	last := h.transitions[end-1]
	if opts.Cursor != "" {
		var shown moment
		if err := shown.parse(opts.Cursor); err != nil {
			return State{}, err
		}
		end = slices.IndexFunc(h.transitions, func(t Transition) bool { return t.moment == shown })
		if end < 0 {
			return State{}, &CursorError{Problem: "the transition where the cursor ended is not part of the history any more"}
		}
	}
	begin := max(0, end-opts.Limit)
	page := h.transitions[begin:end]
	spans, err := h.spans(ctx, src, append(slices.Clone(page), last))
	if err != nil {
		return State{}, err
	}
	var read []store.Span
	for i := range page {
		read = append(read, spans[page[i].moment])
	}
	causes, more, err := causesOf(ctx, src, read, opts.Filter)
	if err != nil {
		return State{}, err
	}
	for i := range page {
		page[i].Causes = causes[i]
	}
	answer := State{
		Place: h.at, Known: true, Latest: h.latest, State: last.To, Since: &last, History: page, Truncated: begin > 0 || more,
	}
	if span, stored := spans[last.moment]; stored {
		answer.Span = &span
	}
	if begin > 0 {
		answer.Cursor = page[0].moment.String()
	}
	return answer, nil
}

// spans reads the transitions' spans, those that are stored still.
func (h *history) spans(ctx context.Context, src SearchSource, of []Transition) (map[moment]store.Span, error) {
	refs := make([]causal.SpanRef, len(of))
	for i := range of {
		refs[i] = of[i].Ref
	}
	found, err := src.Spans(ctx, refs)
	if err != nil {
		return nil, err
	}
	spans := map[moment]store.Span{}
	size := 0
	var span otlpwire.Span
	for _, s := range found {
		if err := span.Parse(s.Bytes); err != nil {
			return nil, err
		}
		spans[momentOf(&span)] = s
		if size += len(s.Origin) + len(s.Bytes); size > h.maxBytes {
			return nil, &SizeError{Spans: len(spans), Bytes: size}
		}
	}
	return spans, nil
}
