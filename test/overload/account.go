package main

import (
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"
)

// accounts compare what was acknowledged with what is stored.
type accounts struct {
	Acked      int64 `json:"acknowledged_spans"`
	Stored     int64 `json:"stored_spans"`
	OfAcked    int64 `json:"stored_of_acknowledged"`
	OfRefused  int64 `json:"stored_of_refused"` // taken by the receiver, refused further down
	OfUnknown  int64 `json:"stored_of_unknown"`
	SampledOut int64 `json:"sampled_out_spans"` // less the rescued
	// Difference is stored + sampled out - acknowledged: 0 to Allowed if
	// nothing acknowledged was lost and nothing else was stored.
	Difference int64 `json:"difference"`
	Allowed    int64 `json:"difference_allowed"`
	// Unaccounted are acknowledged spans that are neither stored nor can have
	// been sampled out: all that was lost where nothing is sampled.
	Unaccounted int64 `json:"acknowledged_but_unaccounted_for"`
	Foreign     int64 `json:"stored_but_never_sent"`
	Doubled     int64 `json:"stored_twice"`
	Mixed       int64 `json:"spans_unlike_their_trace"` // by their probability

	ErrorsAcked  int64 `json:"acknowledged_errors"`
	ErrorsStored int64 `json:"stored_errors"`

	Services []estimate `json:"services"`
	Native   wholeness  `json:"native"`
	OTLP     wholeness  `json:"otlp"`
	LedUp    ledUp      `json:"led_to_errors"`
}

// estimate is what adjusted counts say of a service's acknowledged spans.
type estimate struct {
	Service  string  `json:"service"`
	Accepted int64   `json:"accepted"`
	Stored   int64   `json:"stored"`
	Estimate float64 `json:"estimate"`
	Deviates float64 `json:"standard_error"` // of the estimate, in spans
	Error    float64 `json:"error"`          // relative
	Errors   float64 `json:"error_in_standard_errors"`
	Good     bool    `json:"good"`
}

// wholeness is of segments: of runs of a chain's hops that were all
// acknowledged, what comes of a chain that refusals cut.
type wholeness struct {
	Segments  int64 `json:"segments"` // with anything stored
	Whole     int64 `json:"whole"`
	Long      int64 `json:"segments_of_several_hops"`
	LongWhole int64 `json:"whole_of_several_hops"`
	// RescuedOnly are those of several hops of which nothing was kept by chance:
	// what was rescued came too late for the hops before it.
	RescuedOnly int64 `json:"only_rescued_spans_of_several_hops"`
	// Sampled are the others of several hops that were kept by chance, or are
	// not whole.
	Sampled      int64   `json:"sampled_segments_of_several_hops"`
	SampledWhole int64   `json:"whole_of_these"`
	Share        float64 `json:"share_whole_of_these"`
	// Alone is the share that deciding each trace by its own id would have
	// kept whole of these, with the same probabilities.
	Alone float64 `json:"share_if_traces_were_decided_alone"`
}

// ledUp is of segments of several hops that end in an acknowledged error.
type ledUp struct {
	Segments int64 `json:"segments"`
	Whole    int64 `json:"with_all_that_led_to_it"`
	Rescued  int64 `json:"rescued"` // any span of them
}

// Bars: of estimates whichever is larger, and the share of chains that must be
// whole.
const (
	maxError  = 0.02
	maxErrors = 3
	wholeGoal = 0.99
)

// state is what is stored of a chain: bits hop*roles + role.
type state struct {
	stored, rescued uint32
	p               [hops]float32 // of the hop's first stored span; 0: none but rescued ones
}

// book collects stored spans.
type book struct {
	of     ledgers
	chains map[int][][]state // by lane, group, chain
	again  map[uint64][]found
	sums   map[string]*estimate
	totals accounts
}

func newBook(of ledgers) *book {
	b := &book{of: of, chains: map[int][][]state{}, again: map[uint64][]found{}, sums: map[string]*estimate{}}
	for i, l := range of {
		b.chains[i] = make([][]state, l.groups())
		if b.sums[l.service] == nil {
			b.sums[l.service] = &estimate{Service: l.service}
		}
	}
	return b
}

// add takes a stored span.
func (b *book) add(f *found) {
	at := placeOf(f.number)
	l := b.of[at.lane]
	if l == nil || at.group >= l.groups() || at.chain >= l.chains || at.hop >= hops || at.role >= roles || hopRoles(l.native, at.hop)&(1<<at.role) == 0 ||
		!l.native && f.trace != traceID(l.seed, f.number) {
		b.totals.Foreign++
		return
	}
	groups := b.chains[at.lane]
	if groups[at.group] == nil {
		groups[at.group] = make([]state, l.chains)
	}
	c := &groups[at.group][at.chain]
	bit := uint32(1) << (at.hop*roles + at.role)
	if c.stored&bit != 0 {
		b.again[f.number] = nil
		return
	}
	c.stored |= bit
	b.totals.Stored++
	if f.rescued {
		c.rescued |= bit
	} else if c.p[at.hop] == 0 {
		c.p[at.hop] = float32(f.p)
	} else if c.p[at.hop] != float32(f.p) {
		b.totals.Mixed++
	}
	switch l.carrier(at.group, at.hop) {
	case acked:
		b.totals.OfAcked++
		if f.failed {
			b.totals.ErrorsStored++
		}
		if !l.rehearsal {
			sum := b.sums[l.service]
			sum.Stored++
			sum.Estimate += f.weight()
		}
	case refused:
		b.totals.OfRefused++
	case unknown:
		b.totals.OfUnknown++
	case never:
		b.totals.Foreign++
	}
}

// doubles looks once more at what came more than once: versions of one span in
// two parts of the store are one, spans of other ids are not.
func (b *book) doubles(spans iter.Seq2[found, error]) error {
	if len(b.again) == 0 {
		return nil
	}
	for f, err := range spans {
		if err != nil {
			return err
		}
		if seen, ok := b.again[f.number]; ok {
			b.again[f.number] = append(seen, f)
		}
	}
	for _, seen := range b.again {
		ids := map[[25]byte]bool{}
		for _, f := range seen {
			var id [25]byte
			copy(id[:], f.trace[:])
			copy(id[16:], f.span[:])
			id[24] = byte(f.kind)
			ids[id] = true
		}
		b.totals.Doubled += int64(len(ids) - 1)
	}
	return nil
}

// account reads a store's spans, twice if need be. sampledOut and taken are the
// collector's own counts: spans sampled out for good, and items that the ring
// accepted (0: not known).
func account(of ledgers, spans iter.Seq2[found, error], sampledOut, taken int64) (accounts, error) {
	b := newBook(of)
	for f, err := range spans {
		if err != nil {
			return b.totals, err
		}
		b.add(&f)
	}
	if err := b.doubles(spans); err != nil {
		return b.totals, err
	}
	t := &b.totals
	t.Acked, t.SampledOut = of.spans(acked), sampledOut
	t.Difference = t.Stored + sampledOut - t.Acked
	t.Unaccounted = max(0, t.Acked-t.OfAcked-sampledOut)
	// What the ring took beyond what was acknowledged was refused further down,
	// or its answer did not come; part of it may be stored.
	t.Allowed = max(of.spans(unknown), taken-of.items(acked))
	variance := map[string]float64{}
	var native, otlp alone
	for i, l := range of {
		if !l.rehearsal {
			b.sums[l.service].Accepted += l.count(acked) * int64(l.spans())
		}
		whole, apart := &t.OTLP, &otlp
		if l.native {
			whole, apart = &t.Native, &native
		}
		for g, chains := range b.chains[i] {
			for s := range l.segments(uint64(g)) {
				b.segment(l, uint64(g), s, chains, whole, apart, variance)
			}
		}
	}
	t.Native.finish(native)
	t.OTLP.finish(otlp)
	for _, e := range b.sums {
		e.judge(variance[e.Service])
		t.Services = append(t.Services, *e)
	}
	slices.SortFunc(t.Services, func(x, y estimate) int { return int(y.Accepted - x.Accepted) })
	return *t, nil
}

func (w *wholeness) finish(a alone) {
	w.Share, w.Alone = share(float64(w.SampledWhole), float64(w.Sampled)), share(a.whole, a.some)
}

func share(part, of float64) float64 {
	if of == 0 {
		return 0
	}
	return part / of
}

func (e *estimate) judge(variance float64) {
	e.Deviates = math.Sqrt(variance)
	off := e.Estimate - float64(e.Accepted)
	e.Error = share(off, float64(e.Accepted))
	e.Errors = share(off, e.Deviates)
	e.Good = math.Abs(e.Error) <= maxError || math.Abs(off) <= maxErrors*e.Deviates
}

// run is a segment: hops from from to to, of which the last is before to.
type run struct{ from, to int }

// mask are the bits of a segment's spans in a state.
func (r run) mask(native bool) (m uint32) {
	for h := r.from; h < r.to; h++ {
		m |= hopRoles(native, h) << (h * roles)
	}
	return m
}

// segments yields a group's runs of hops that were acknowledged.
func (l *ledger) segments(group uint64) iter.Seq[run] {
	return func(yield func(run) bool) {
		for h := 0; h < hops; h++ {
			from := h
			for h < hops && l.carrier(group, h) == acked {
				h++
			}
			if h > from && !yield(run{from, h}) {
				return
			}
		}
	}
}

// segment judges one segment of all chains of a group; chains is nil where
// nothing is stored of any.
func (b *book) segment(l *ledger, group uint64, r run, chains []state, whole *wholeness, apart *alone, variance map[string]float64) {
	t := &b.totals
	mask := r.mask(l.native)
	last := hopRoles(l.native, hops-1) << ((hops - 1) * roles)
	for k := range l.chains {
		failing := r.to == hops && fails(place{lane: l.lane, group: group, chain: k}.number())
		if failing {
			t.ErrorsAcked++
		}
		if l.rehearsal {
			continue
		}
		var c state
		if chains != nil {
			c = chains[k]
		}
		long := r.to-r.from > 1
		if failing && long {
			t.LedUp.Segments++
			if before := mask &^ last; c.stored&before == before {
				t.LedUp.Whole++
			}
			if c.rescued&mask != 0 {
				t.LedUp.Rescued++
			}
		}
		if c.stored&mask == 0 {
			continue
		}
		kept := c.stored&mask == mask
		whole.Segments++
		if kept {
			whole.Whole++
		}
		if long {
			whole.Long++
			if kept {
				whole.LongWhole++
			}
			if c.stored&^c.rescued&mask == 0 {
				whole.RescuedOnly++
			} else if !kept || c.sampled(r) {
				whole.Sampled++
				if kept {
					whole.SampledWhole++
				}
				apart.add(r, &c)
			}
		}
		variance[l.service] += spread(r, &c)
	}
}

// sampled reports whether any stored span of a segment says that it was kept by
// chance.
func (c *state) sampled(r run) bool {
	for h := r.from; h < r.to; h++ {
		if c.p[h] > 0 && c.p[h] < 1 {
			return true
		}
	}
	return false
}

// spread is a segment's part in the variance of an estimate. All its spans are
// decided by one random number, so of two spans with probabilities p and q the
// covariance of their weights is 1/max(p, q) - 1, and the pair is seen with
// the probability min(p, q).
func spread(r run, c *state) (v float64) {
	for h := r.from; h < r.to; h++ {
		for g := r.from; g < r.to; g++ {
			if c.p[h] == 0 || c.p[g] == 0 {
				continue
			}
			lo, hi := float64(min(c.p[h], c.p[g])), float64(max(c.p[h], c.p[g]))
			v += c.spans(h) * c.spans(g) * (1/hi - 1) / lo
		}
	}
	return v
}

// spans is how many spans of a hop are stored by chance.
func (c *state) spans(hop int) float64 {
	return float64(bits.OnesCount32(c.stored &^ c.rescued >> (hop * roles) & (1<<roles - 1)))
}

// alone sums up what would have become of segments if each trace had been
// decided by a random number of its own: the expectation, so that nothing needs
// to be drawn.
type alone struct{ whole, some float64 }

func (a *alone) add(r run, c *state) {
	least, all, none := 1.0, 1.0, 1.0
	for h := r.from; h < r.to; h++ {
		p := float64(c.p[h])
		if p == 0 {
			return // rescued, or not whole: its probabilities are not known
		}
		least, all, none = min(least, p), all*p, none*(1-p)
	}
	// A segment that is stored stands for 1/least of them.
	a.whole += all / least
	a.some += (1 - none) / least
}

// problems says what of this must not be.
func (a accounts) problems() (all []string) {
	add := func(bad bool, format string, args ...any) {
		if bad {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	add(a.Unaccounted > 0, "%d acknowledged spans are neither stored nor counted as sampled out", a.Unaccounted)
	add(a.Difference > a.Allowed, "%d spans more than were acknowledged are stored or counted as sampled out, %d may be", a.Difference, a.Allowed)
	add(a.Foreign > 0, "%d stored spans were never sent", a.Foreign)
	add(a.Doubled > 0, "%d spans are stored twice under other ids", a.Doubled)
	add(a.Mixed > 0, "%d spans say another probability than their trace", a.Mixed)
	add(a.ErrorsStored < a.ErrorsAcked, "%d of %d acknowledged errors are not stored", a.ErrorsAcked-a.ErrorsStored, a.ErrorsAcked)
	for name, w := range map[string]wholeness{"native": a.Native, "OTLP": a.OTLP} {
		add(w.Sampled > 0 && w.Share < wholeGoal, "%.2f %% of the %s chains that were sampled are whole", 100*w.Share, name)
	}
	for _, e := range a.Services {
		add(!e.Good, "adjusted counts of %s are off by %.1f %%, %.1f standard errors", e.Service, 100*e.Error, e.Errors)
	}
	return all
}
