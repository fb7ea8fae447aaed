package query

import (
	"cmp"
	"fmt"
	"slices"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
)

// The rules of edges that Scope did not have to find.
const (
	RuleParent = "parent" // a span's parent
	RuleLink   = "link"   // a link that came with a span
)

// EdgesOf returns the edges that an encoded span tells, each (cause, effect,
// type) once: its parent, and its links.
//
// A link with a scope.link.type has the type, rule and confidence that it says
// (rule "link" and confidence 1 where it says none). A link without, or whose
// type is not known or whose confidence is not 0 < c <= 1, is a plain one that
// came with the span: type message_flow on a CONSUMER that it leads to, else
// other, confidence 1. Links to nowhere or to the span itself are no edges.
// A span without trace or span id tells none.
func EdgesOf(span []byte) ([]causal.Edge, error) {
	var r reader
	t, err := r.read(span)
	if err != nil {
		return nil, err
	}
	return t.edges, nil
}

// EdgeReader is EdgesOf for spans that were parsed already, one after the other.
// The zero value is ready.
type EdgeReader struct{ reader reader }

// Edges returns the edges that a span tells; they are the caller's.
func (r *EdgeReader) Edges(span *otlpwire.Span) ([]causal.Edge, error) {
	t, err := r.reader.tell(span)
	return t.edges, err
}

// told is what a span tells of causality.
type told struct {
	ref        causal.SpanRef
	event      string
	kind       ptrace.SpanKind
	start, end uint64
	root       bool // it has no parent
	missing    bool // it is not stored
	edges      []causal.Edge
}

// reader reads spans, one after the other. What it returns is independent of
// the bytes read.
type reader struct {
	span  otlpwire.Span
	link  otlpwire.Link
	rules map[string]string // names seen, so that each is kept once
}

// maxRules bounds the names that a reader keeps: there are few rules, but
// anybody may send links.
const maxRules = 256

func (r *reader) read(span []byte) (told, error) {
	if err := r.span.Parse(span); err != nil {
		return told{}, fmt.Errorf("stored span: %w", err)
	}
	return r.tell(&r.span)
}

// tell returns what a span that was parsed tells.
func (r *reader) tell(s *otlpwire.Span) (told, error) {
	t := told{
		ref:   causal.SpanRef{TraceID: s.TraceID, SpanID: s.SpanID},
		event: string(str(s.Attributes, causal.AttrEventID)),
		kind:  ptrace.SpanKind(s.Kind),
		start: s.Start,
		end:   s.End,
		root:  s.ParentSpanID == [8]byte{},
	}
	if t.ref.IsZero() {
		return t, nil
	}
	if n := len(s.Links) + 1; !t.root || n > 1 {
		t.edges = make([]causal.Edge, 0, n)
	}
	t.add(causal.Edge{
		Type: causal.ParentChild, Cause: causal.SpanRef{TraceID: s.TraceID, SpanID: s.ParentSpanID}, Effect: t.ref,
		Confidence: 1, Rule: RuleParent,
	})
	for _, encoded := range s.Links {
		if err := r.link.Parse(encoded); err != nil {
			return told{}, fmt.Errorf("stored span: %w", err)
		}
		t.add(r.linkEdge(t.ref, t.kind))
	}
	t.edges = unite(t.edges)
	return t, nil
}

func (t *told) add(e causal.Edge) {
	if !e.Cause.IsZero() && !e.Effect.IsZero() && e.Cause != e.Effect {
		t.edges = append(t.edges, e)
	}
}

// linkEdge is the edge of the reader's link on a span.
func (r *reader) linkEdge(span causal.SpanRef, kind ptrace.SpanKind) causal.Edge {
	attrs := r.link.Attributes
	e := causal.Edge{Cause: causal.SpanRef{TraceID: r.link.TraceID, SpanID: r.link.SpanID}, Effect: span}
	if string(str(attrs, causal.AttrLinkRole)) == causal.LinkRoleEffect {
		e.Cause, e.Effect = e.Effect, e.Cause
	}
	linkType, typed := typeOf(str(attrs, causal.AttrLinkType))
	confidence, valid := confidenceOf(attrs)
	if typed && valid {
		e.Type, e.Confidence, e.Rule = linkType, confidence, RuleLink
		if rule := str(attrs, causal.AttrLinkRule); len(rule) > 0 {
			e.Rule = r.rule(rule)
		}
		return e
	}
	e.Type, e.Confidence, e.Rule = causal.Other, 1, RuleLink
	if kind == ptrace.SpanKindConsumer && e.Effect == span {
		e.Type = causal.MessageFlow
	}
	return e
}

// rule returns the name, the same string for the same name.
func (r *reader) rule(name []byte) string {
	if known, ok := r.rules[string(name)]; ok {
		return known
	}
	if r.rules == nil || len(r.rules) == maxRules {
		r.rules = map[string]string{}
	}
	s := string(name)
	r.rules[s] = s
	return s
}

// allTypes are the types that an edge may have, in the order of answers.
var allTypes = append(slices.Clone(causal.Types), causal.Other)

func typeOf(text []byte) (causal.Type, bool) {
	for _, t := range allTypes {
		if string(t) == string(text) {
			return t, true
		}
	}
	return "", false
}

// confidenceOf returns a link's confidence, 1 where it says none.
func confidenceOf(attrs []otlpwire.Attr) (_ float64, valid bool) {
	v, ok := otlpwire.Find(attrs, causal.AttrLinkConfidence)
	if !ok {
		return 1, true
	}
	c, ok := v.Double()
	if !ok { // a language that does not tell 1 from 1.0 may have sent it
		i, isInt := v.Int()
		c, ok = float64(i), isInt
	}
	return c, ok && c > 0 && c <= 1
}

// str returns the text of an attribute; nil where there is none.
func str(attrs []otlpwire.Attr, key string) []byte {
	v, _ := otlpwire.Find(attrs, key)
	s, _ := v.Str()
	return s
}

// unite makes one edge of edges that are one, in place, and orders them by
// cause, effect and type:
//
//   - of several for one (cause, effect, type) the best stays: a rule's before
//     a link's, then the higher confidence;
//   - a plain link is no edge of its own where a rule's edge joins the same
//     two spans in the same direction. A parent says as much as a link of type
//     other, but not that a message went that way.
func unite(edges []causal.Edge) []causal.Edge {
	if len(edges) < 2 {
		return edges
	}
	slices.SortFunc(edges, compareEdges)
	edges = slices.CompactFunc(edges, sameEdge)
	kept := edges[:0]
	for len(edges) > 0 {
		n := pairEnd(edges)
		pair := edges[:n]
		edges = edges[n:]
		if n == 1 {
			kept = append(kept, pair[0])
			continue
		}
		found, parent := false, false
		for i := range pair {
			found = found || pair[i].Rule != RuleLink && pair[i].Rule != RuleParent
			parent = parent || pair[i].Rule == RuleParent
		}
		for _, e := range pair {
			if e.Rule == RuleLink && (e.Type == causal.Other && (found || parent) || e.Type == causal.MessageFlow && found) {
				continue
			}
			kept = append(kept, e)
		}
	}
	return kept
}

// pairEnd returns how many of the ordered edges, which are not none, join the
// spans that the first one joins.
func pairEnd(edges []causal.Edge) int {
	n := 1
	for n < len(edges) && edges[n].Cause == edges[0].Cause && edges[n].Effect == edges[0].Effect {
		n++
	}
	return n
}

func sameEdge(a, b causal.Edge) bool {
	return a.Type == b.Type && a.Cause == b.Cause && a.Effect == b.Effect
}

func compareEdges(a, b causal.Edge) int {
	return cmp.Or(
		a.Cause.Compare(b.Cause),
		a.Effect.Compare(b.Effect),
		cmp.Compare(slices.Index(allTypes, a.Type), slices.Index(allTypes, b.Type)),
		compareBool(a.Rule == RuleLink, b.Rule == RuleLink),
		cmp.Compare(b.Confidence, a.Confidence),
		cmp.Compare(a.Rule, b.Rule),
	)
}

// compareBool puts false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// accepts reports whether an edge counts.
func (f *Filter) accepts(e *causal.Edge) bool {
	return e.Confidence >= f.MinConfidence && (len(f.Types) == 0 || slices.Contains(f.Types, e.Type))
}
