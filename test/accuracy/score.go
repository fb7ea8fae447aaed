package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/otelscope/otelscope/internal/causal"
)

// sure is from which confidence on an edge must not be wrong.
const sure = 0.9

// The bars: what a kind must reach in every workload.
const (
	minPrecision = 0.999
	minRecall    = 0.99
)

// score is one kind of one workload. Edges that nobody can decide count apart.
type score struct {
	truth           int // that can be decided
	found, right    int // of them, of whatever confidence
	sure, sureRight int
	baseless        int // into what nothing that is told caused
	undecidedTruth  int
	undecidedFound  int
	undecidedRight  int
}

func (s *score) precision() float64 { return ratio(s.sureRight, s.sure) }
func (s *score) recall() float64    { return ratio(s.right, s.truth) }

func ratio(part, whole int) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}

// claimed is by which rule an edge was found, and how sure that is.
type claimed struct {
	rule       string
	confidence float64
}

// bucket counts edges that were claimed alike, those apart that nobody can
// decide.
type bucket struct{ found, right, undecidedFound, undecidedRight int }

// verdict is the result of one workload.
type verdict struct {
	plan      *plan
	scores    map[causal.Type]*score
	buckets   map[claimed]*bucket // without parents
	wrong     []found             // decided, of whatever confidence
	missed    []edge
	misplaced []string
}

// judge holds what was found against the truth. trace returns the trace of the
// span of an event.
func judge(p *plan, all []found, trace func(event string) (string, bool)) *verdict {
	v := &verdict{plan: p, scores: map[causal.Type]*score{}, buckets: map[claimed]*bucket{}}
	for _, kind := range causal.Types {
		v.scores[kind] = &score{}
	}
	got := map[edge]bool{}
	for _, f := range best(all) {
		s := v.scores[f.kind]
		if s == nil || !p.truth.known[f.effect] || !p.truth.known[f.cause] {
			continue
		}
		if other, ok := p.truth.instead[f.edge]; ok {
			f.edge = other
		}
		got[f.edge] = true
		v.count(s, f)
	}
	for e := range p.truth.edges {
		s := v.scores[e.kind]
		switch {
		case p.truth.undecided[into{e.kind, e.effect}]:
			s.undecidedTruth++
		default:
			s.truth++
			if !got[e] {
				v.missed = append(v.missed, e)
			}
		}
	}
	for event, activity := range p.truth.place {
		own, ok1 := trace(event)
		first, ok2 := trace(activity)
		if !ok1 || !ok2 || own != first {
			v.misplaced = append(v.misplaced, event)
		}
	}
	slices.SortFunc(v.wrong, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.rule, b.rule), cmp.Compare(a.effect, b.effect))
	})
	slices.SortFunc(v.missed, func(a, b edge) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.effect, b.effect)) })
	slices.Sort(v.misplaced)
	return v
}

func (v *verdict) count(s *score, f found) {
	t := v.plan.truth
	right := t.edges[f.edge]
	b := v.buckets[claimed{f.rule, f.confidence}]
	if b == nil {
		b = &bucket{}
		if f.kind != causal.ParentChild {
			v.buckets[claimed{f.rule, f.confidence}] = b
		}
	}
	if t.undecided[into{f.kind, f.effect}] {
		s.undecidedFound++
		s.undecidedRight += one(right)
		b.undecidedFound++
		b.undecidedRight += one(right)
		return
	}
	s.found++
	s.right += one(right)
	s.sure += one(f.confidence >= sure)
	s.sureRight += one(f.confidence >= sure && right)
	b.found++
	b.right += one(right)
	if !right {
		v.wrong = append(v.wrong, f)
		s.baseless += one(!t.caused[into{f.kind, f.effect}])
	}
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// best keeps one of equal edges, the most confident.
func best(all []found) []found {
	byEdge := map[edge]found{}
	for _, f := range all {
		if old, ok := byEdge[f.edge]; !ok || f.confidence > old.confidence {
			byEdge[f.edge] = f
		}
	}
	out := make([]found, 0, len(byEdge))
	for _, f := range byEdge {
		out = append(out, f)
	}
	return out
}

// failures are the bars that are missed.
func (v *verdict) failures() (missed []string) {
	for _, kind := range causal.Types {
		s := v.scores[kind]
		if p := s.precision(); p < minPrecision {
			missed = append(missed, fmt.Sprintf("%s: precision of %s is %s, below %s", v.plan.name, kind, percent(p), percent(minPrecision)))
		}
		if r := s.recall(); r < minRecall {
			missed = append(missed, fmt.Sprintf("%s: recall of %s is %s, below %s", v.plan.name, kind, percent(r), percent(minRecall)))
		}
	}
	parents := v.scores[causal.ParentChild]
	if parents.found != parents.right || parents.right != parents.truth {
		missed = append(missed, fmt.Sprintf("%s: of %d parents %d were found, %d of them right", v.plan.name, parents.truth, parents.found, parents.right))
	}
	if n := len(v.misplaced); n > 0 {
		missed = append(missed, fmt.Sprintf("%s: %d events lie in another trace than they should, the first: %.5q", v.plan.name, n, v.misplaced[:min(n, 5)]))
	}
	return missed
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }
