package views

import (
	"slices"

	"github.com/otelscope/otelscope/internal/causal"
)

// What is remembered of the stream of spans, whatever the number of parts:
// about 25 MB when both are full.
const (
	mostRecent  = 1 << 16
	mostWaiting = 1 << 15
)

// Views sums up the part that is being written.
type Views struct {
	part   *Summary
	number int // of the part
	recent recent
	wait   waiting
	// unknown are ends that were not known when an edge began to wait, in that
	// order.
	unknown []causal.SpanRef
	told    []slot // space for one span's
}

// New returns views of nothing.
func New() *Views { return newViews(mostRecent, mostWaiting) }

func newViews(mostRecent, mostWaiting int) *Views {
	return &Views{part: NewSummary(), recent: newRecent(mostRecent), wait: newWaiting(mostWaiting)}
}

// Part is the summary of the part so far, in the making: Pending is empty.
func (v *Views) Part() *Summary { return v.part }

// Await lets edges of earlier parts wait, which stood in their summaries.
// Their other ends had not come when those parts ended.
func (v *Views) Await(pending []Pending) {
	v.number++ // they are no part's that is being written
	for _, p := range pending {
		v.wait.put(p, v.number-1, true)
	}
}

// Add counts a complete span that was not counted before. Its texts are kept.
func (v *Views) Add(s *Span) {
	for _, text := range []*string{&s.Service, &s.Node, &s.Process, &s.Name, &s.Error} {
		*text = short(*text)
	}
	v.part.add(s)
	if s.Ref.IsZero() {
		return
	}
	end := s.asEnd()
	v.told = v.wait.take(v.told[:0], s.Ref)
	for edges := s.Edges; len(edges) > 0; {
		n := 1
		for n < len(edges) && edges[n].Cause == edges[0].Cause && edges[n].Effect == edges[0].Effect {
			n++
		}
		v.own(&end, edges[:n])
		edges = edges[n:]
	}
	for i := range v.told {
		v.count(&v.told[i].Pending, &end)
	}
	v.recent.put(&end)
}

// own counts edges that a span tells between itself and one other, or lets
// them wait for it. What the other told of them is taken from v.told.
func (v *Views) own(end *End, edges []causal.Edge) {
	p := Pending{Missing: edges[0].Cause, Teller: *end, Effect: true, Told: maskOf(edges)}
	if edges[0].Cause == end.Ref {
		p.Missing, p.Effect = edges[0].Effect, false
	}
	for i := range v.told {
		if t := &v.told[i]; t.Teller.Ref == p.Missing && t.Effect != p.Effect {
			p.Told |= t.Told
			v.count(&p, &t.Teller)
			v.told = slices.Delete(v.told, i, i+1)
			return
		}
	}
	if other := v.recent.get(&p.Missing); other != nil {
		v.count(&p, other)
		return
	}
	if v.wait.put(p, v.number, false) {
		v.part.PendingOmitted++
	}
	v.unknown = append(v.unknown, p.Missing)
}

// count counts what waited for a span, or did not have to.
func (v *Views) count(p *Pending, other *End) {
	if p.Effect {
		v.part.join(other, &p.Teller, p.Told)
	} else {
		v.part.join(&p.Teller, other, p.Told)
	}
}

// Unsure returns how many ends may have to be looked up.
func (v *Views) Unsure() int { return len(v.unknown) }

// Unknown returns ends that edges wait for and that were not looked up, at most
// so many, those first that wait longest. Those among the latest are left out:
// they may be on their way. Found takes what was found of them.
func (v *Views) Unknown(most, latest int) []causal.SpanRef {
	var refs []causal.SpanRef
	n := 0
	for ; n < len(v.unknown)-latest && len(refs) < most; n++ {
		if ref := v.unknown[n]; v.wait.unknown(ref) {
			refs = append(refs, ref)
		}
	}
	v.unknown = slices.Delete(v.unknown, 0, n)
	slices.SortFunc(refs, causal.SpanRef.Compare)
	return slices.Compact(refs)
}

// Found says which of the ends that Unknown returned, all of them since the
// last call of Add, are spans that were counted before. What waits for the
// others goes on waiting.
func (v *Views) Found(refs []causal.SpanRef, spans []Span) {
	for i := range spans {
		v.found(&spans[i])
	}
	for _, ref := range refs {
		v.wait.absent(ref)
	}
}

func (v *Views) found(s *Span) {
	end := s.asEnd()
	v.told = v.wait.take(v.told[:0], s.Ref)
	for i := range v.told {
		if p := &v.told[i]; !p.looked {
			p.Told |= s.tells(&p.Pending)
			v.count(&p.Pending, &end)
		}
	}
	v.recent.put(&end)
}

// tells returns what a span itself tells of edges that wait for it.
func (s *Span) tells(p *Pending) (m mask) {
	cause, effect := p.Teller.Ref, p.Missing
	if p.Effect {
		cause, effect = effect, cause
	}
	for i, e := range s.Edges {
		if e.Cause == cause && e.Effect == effect {
			m |= maskOf(s.Edges[i : i+1])
		}
	}
	return m
}

// Rotate ends the part and returns its summary. All ends should have been
// looked up, or edges may be left out after a start.
func (v *Views) Rotate() *Summary {
	done := v.part
	done.trim()
	done.await(v.wait.of(v.number))
	v.part = NewSummary()
	v.number++
	return done
}
