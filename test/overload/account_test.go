package main

import (
	"encoding/binary"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// world is a record of requests and what a perfect collector stores of them,
// until a test breaks something.
type world struct {
	of         ledgers
	spans      []found
	sampledOut int64
	taken      int64
}

// build makes lanes of 400 requests each, whose outcomes are drawn, and stores
// what a collector would that keeps segments by one random number with the
// probability p, and keeps failing spans.
func build(p float64, outcomes ...outcome) *world {
	w := &world{of: ledgers{}}
	r := rand.New(rand.NewPCG(1, 2))
	for i, c := range []content{
		{lane: 0, service: "orders", chains: 30, lag: 3, seed: 5},
		{lane: 1, service: "orders", chains: 20, lag: 2, native: true},
		{lane: 2, service: "audit", chains: 1, lag: 1, native: true},
	} {
		l := &ledger{content: c}
		for range 400 {
			n := l.begin()
			l.end(n, outcomes[r.IntN(len(outcomes))])
		}
		w.of[i] = l
		for g := range l.groups() {
			for s := range l.segments(g) {
				for k := range l.chains {
					w.keep(l, g, k, s, r.Float64() < p, p)
				}
			}
		}
	}
	w.taken = w.of.items(acked)
	return w
}

// keep stores a segment, or what must be kept of it.
func (w *world) keep(l *ledger, group uint64, chain int, s run, kept bool, p float64) {
	for hop := s.from; hop < s.to; hop++ {
		for role := range roles {
			if hopRoles(l.native, hop)&(1<<role) == 0 {
				continue
			}
			at := place{lane: l.lane, group: group, chain: chain, hop: hop, role: role}
			f := found{number: at.number(), trace: traceID(l.seed, at.number()), kind: 1, p: p}
			binary.BigEndian.PutUint64(f.span[:], f.number)
			f.failed = hop == hops-1 && role == workRole && fails(f.number)
			f.rescued = f.failed && !kept
			if kept || f.failed {
				w.spans = append(w.spans, f)
			} else {
				w.sampledOut++
			}
		}
	}
}

func (w *world) scan() iter.Seq2[found, error] {
	return func(yield func(found, error) bool) {
		for _, f := range w.spans {
			if !yield(f, nil) {
				return
			}
		}
	}
}

func (w *world) account(t *testing.T) accounts {
	t.Helper()
	a, err := account(w.of, w.scan(), w.sampledOut, w.taken)
	require.NoError(t, err)
	return a
}

// some is the index of a stored span that is so.
func (w *world) some(is func(place, found) bool) int {
	return slices.IndexFunc(w.spans, func(f found) bool { return is(placeOf(f.number), f) })
}

func TestWhatIsAllStoredAddsUp(t *testing.T) {
	w := build(1, acked)
	a := w.account(t)
	require.Empty(t, a.problems())
	require.EqualValues(t, 400*(30*14+20*18+18), a.Acked)
	require.Equal(t, a.Acked, a.Stored)
	require.Zero(t, a.Difference)
	require.Positive(t, a.Native.Long)
	require.Equal(t, a.Native.Long, a.Native.LongWhole)
	require.Zero(t, a.Native.Sampled)
	require.Equal(t, a.LedUp.Segments, a.LedUp.Whole)
	require.Positive(t, a.ErrorsAcked)
	require.Zero(t, a.LedUp.Rescued)
}

func TestASampledStoreAddsUp(t *testing.T) {
	w := build(0.25, acked, acked, acked, acked, refused)
	a := w.account(t)
	require.Empty(t, a.problems())
	require.Zero(t, a.Difference)
	require.Equal(t, a.Acked, a.Stored+a.SampledOut)
	require.Less(t, a.Stored, a.Acked/3)
	// Of chains that were not kept, errors are rescued, and nothing else.
	require.InDelta(t, 1, a.OTLP.Share, 0)
	require.Positive(t, a.OTLP.RescuedOnly)
	require.Equal(t, a.LedUp.Rescued, a.OTLP.RescuedOnly+a.Native.RescuedOnly)
	require.Equal(t, a.OTLP.Long, a.OTLP.Sampled+a.OTLP.RescuedOnly)
	require.Less(t, a.OTLP.Alone, 0.1)
	require.Greater(t, a.OTLP.Long, int64(1000))
	require.Equal(t, a.ErrorsAcked, a.ErrorsStored)
	require.InDelta(t, 0.25, float64(a.LedUp.Whole)/float64(a.LedUp.Segments), 0.15)
	require.Equal(t, a.LedUp.Segments, a.LedUp.Whole+a.LedUp.Rescued)
}

// The standard error must be as large as estimates really scatter.
func TestStandardErrorsAreTrue(t *testing.T) {
	w := build(0.25, acked)
	l := w.of[0]
	var squares, variance float64
	const rounds = 200
	for round := range rounds {
		r := rand.New(rand.NewPCG(3, uint64(round)))
		one := &world{of: ledgers{0: l}}
		for g := range l.groups() {
			for s := range l.segments(g) {
				for k := range 5 {
					one.keep(l, g, k, s, r.Float64() < 0.25, 0.25)
				}
			}
		}
		one.spans = slices.DeleteFunc(one.spans, func(f found) bool { return f.rescued })
		e := one.account(t).Services[0]
		truth := float64(l.count(acked)) * 5 * 14
		squares += (e.Estimate - truth) * (e.Estimate - truth)
		variance += e.Deviates * e.Deviates
	}
	require.InDelta(t, 1, squares/variance, 0.25)
}

func TestProbabilitiesThatDifferWithinAChain(t *testing.T) {
	c := state{p: [hops]float32{0.5, 0.25, 1}}
	for h := range 3 {
		c.stored |= 1 << (h * roles)
	}
	// By hand: sum over pairs of (1/max - 1) / min; with p = 1 a pair adds
	// nothing.
	require.InDelta(t, 1/0.5+3/0.25+2*(1/0.25), spread(run{0, 3}, &c), 1e-9)
	require.Zero(t, spread(run{2, 3}, &c))
}

func TestWhatIsBrokenIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		break_ func(*world)
		want   string
	}{
		"a lost span": {func(w *world) {
			i := w.some(func(p place, f found) bool { return p.hop == 2 && !f.failed })
			w.spans = slices.Delete(w.spans, i, i+1)
		}, "1 acknowledged spans are neither stored"},
		"a span too few counted as sampled out": {func(w *world) { w.sampledOut-- }, "1 acknowledged spans are neither stored"},
		"a span too many counted":               {func(w *world) { w.sampledOut++ }, "1 spans more than were acknowledged"},
		"a doubled span of other ids": {func(w *world) {
			f := w.spans[w.some(func(p place, _ found) bool { return p.lane == 1 })]
			f.trace[3]++
			w.spans = append(w.spans, f)
		}, "1 spans are stored twice"},
		"an OTLP span of another trace": {func(w *world) { w.spans[0].trace[3]++ }, "1 stored spans were never sent"},
		"a span that was never sent": {func(w *world) {
			f := w.spans[w.some(func(p place, _ found) bool { return p.lane == 2 })]
			p := placeOf(f.number)
			p.group += 1 << 20
			f.number = p.number()
			w.spans = append(w.spans, f)
		}, "1 stored spans were never sent"},
		"a role that the hop has not": {func(w *world) {
			w.spans = append(w.spans, found{number: place{lane: 1, group: 50, role: enterRole}.number(), p: 1})
		}, "1 stored spans were never sent"},
		"a wrong th": {func(w *world) {
			for i := range w.spans {
				w.spans[i].p /= 1.1
			}
		}, "adjusted counts of orders are off by 1"},
		"a wrong th on one span": {func(w *world) {
			w.spans[w.some(func(p place, f found) bool { return p.role == nextRole && !f.rescued })].p /= 2
		}, "1 spans say another probability"},
		"a lost error": {func(w *world) {
			i := w.some(func(_ place, f found) bool { return f.rescued })
			w.spans = slices.Delete(w.spans, i, i+1)
			w.sampledOut++
		}, "1 of"},
		"chains that lose their second hop": {func(w *world) {
			w.spans = slices.DeleteFunc(w.spans, func(f found) bool {
				p := placeOf(f.number)
				if p.lane != 0 || p.hop != 1 || p.chain > 5 {
					return false
				}
				w.sampledOut++
				return true
			})
		}, "% of the OTLP chains that were sampled are whole"},
		"rescued spans that count": {func(w *world) {
			// All spans of a service count twice.
			for i := range w.spans {
				w.spans[i].rescued = false
			}
			for range 3 {
				for g := range w.of[2].groups() {
					w.spans = append(w.spans, found{number: place{lane: 2, group: g, hop: 1}.number(), p: 0.01})
				}
			}
		}, "adjusted counts of audit"},
	} {
		t.Run(name, func(t *testing.T) {
			w := build(0.25, acked)
			c.break_(w)
			require.Contains(t, strings.Join(w.account(t).problems(), "\n"), c.want)
		})
	}
}

func TestTheSameSpanInTwoPartsOfTheStoreIsOne(t *testing.T) {
	w := build(1, acked)
	w.spans = append(w.spans, w.spans[:1000]...)
	a := w.account(t)
	require.Empty(t, a.problems())
	require.Zero(t, a.Difference)
}

func TestABrokenChainIsNotWhole(t *testing.T) {
	w := build(0.25, acked)
	before := w.account(t)
	i := w.some(func(p place, f found) bool { return p.lane == 0 && p.hop == 2 && p.role == workRole && !f.rescued })
	victim := placeOf(w.spans[i].number)
	w.spans = slices.DeleteFunc(w.spans, func(f found) bool {
		p := placeOf(f.number)
		if p.lane != 0 || p.group != victim.group || p.chain != victim.chain || p.hop != 2 {
			return false
		}
		w.sampledOut++
		return true
	})
	after := w.account(t)
	require.Equal(t, before.OTLP.LongWhole-1, after.OTLP.LongWhole)
	require.Equal(t, before.OTLP.SampledWhole-1, after.OTLP.SampledWhole)
	require.Equal(t, before.OTLP.Sampled, after.OTLP.Sampled)
	require.Equal(t, before.OTLP.Long, after.OTLP.Long)
	require.Equal(t, before.Native, after.Native)
	require.Zero(t, after.Difference)
}

func TestRefusalsCutChains(t *testing.T) {
	l := &ledger{content: content{lag: 1, chains: 1}}
	for _, o := range []outcome{acked, acked, refused, acked, acked, unknown, acked} {
		l.end(l.begin(), o)
	}
	require.EqualValues(t, 4, l.first())
	for group, want := range map[uint64][]run{
		0:  {{4, 5}},
		3:  {{1, 3}, {4, 5}},
		4:  {{0, 2}, {3, 5}},
		6:  {{1, 3}, {4, 5}},
		9:  {{1, 2}},
		10: {{0, 1}},
	} {
		require.Equal(t, want, slices.Collect(l.segments(group)), "group %d", group)
	}
	require.Equal(t, never, l.of(3))
	require.Equal(t, never, l.of(11))
	require.EqualValues(t, 1, l.count(unknown))
}

// What has no answer may be stored or not.
func TestUnknownOutcomesAreAnInterval(t *testing.T) {
	w := build(1, acked, acked, unknown)
	a := w.account(t)
	require.Empty(t, a.problems())
	require.Zero(t, a.Difference)
	require.Equal(t, w.of.spans(unknown), a.Allowed)
	l := w.of[1]
	for g := range l.groups() {
		if g > 400 {
			break
		}
		for hop := range hops {
			if l.carrier(g, hop) == unknown {
				w.keep(l, g, 0, run{hop, hop + 1}, true, 1)
			}
		}
	}
	a = w.account(t)
	require.Positive(t, a.Difference)
	require.Equal(t, a.Difference, a.OfUnknown)
	for _, p := range a.problems() {
		require.NotContains(t, p, "more than were acknowledged")
	}
}

// Part of a request that was refused further down may be stored; the ring's
// own count says how much at most.
func TestStoredThoughRefused(t *testing.T) {
	w := build(1, acked, refused)
	l := w.of[1]
	for g := uint64(100); ; g++ {
		if l.carrier(g, 0) == refused {
			w.keep(l, g, 0, run{0, 1}, true, 1)
			break
		}
	}
	a := w.account(t)
	require.EqualValues(t, 3, a.OfRefused)
	require.Contains(t, strings.Join(a.problems(), "\n"), "3 spans more than were acknowledged")
	w.taken += 3
	require.Empty(t, w.account(t).problems())
	i := w.some(func(p place, _ found) bool { return l.carrier(p.group, p.hop) == acked && p.lane == 1 })
	w.spans = slices.Delete(w.spans, i, i+1)
	require.Contains(t, strings.Join(w.account(t).problems(), "\n"), "1 acknowledged spans are neither")
}

func TestProbabilityIsReadFromTracestate(t *testing.T) {
	for state, want := range map[string]float64{
		"": 1, "a=b": 1, "ot=rv:12345678901234": 1, "ot=th:8": 0.5, "x=y, ot=rv:00000000000000;th:c": 0.25,
		"ot=th:e66;rv:00000000000000": 1 - float64(0xe66)/0x1000, "ot=th:0": 1, "ot=th:ffffffffffffff": math.Ldexp(1, -56),
	} {
		p, err := probability(state)
		require.NoError(t, err)
		require.InDelta(t, want, p, 1e-17, state)
	}
	for _, bad := range []string{"ot=th:", "ot=th:123456789abcdef", "ot=th:xyz"} {
		_, err := probability(bad)
		require.Error(t, err, bad)
	}
}

// Of a segment that was not sampled a span is gone: that counts as well.
func TestABrokenChainCountsWhereNothingIsSampled(t *testing.T) {
	w := build(1, acked)
	i := w.some(func(p place, f found) bool { return p.lane == 1 && p.hop == 2 && p.group > 50 && !f.failed })
	w.spans = slices.Delete(w.spans, i, i+1)
	a := w.account(t)
	require.EqualValues(t, 1, a.Native.Sampled)
	require.Zero(t, a.Native.SampledWhole)
	require.EqualValues(t, 1, a.Unaccounted)
}

// What was measured before counts for losses and errors, for nothing else.
func TestRehearsalsAreNotJudged(t *testing.T) {
	w := build(0.25, acked)
	for _, l := range w.of {
		l.rehearsal = true
	}
	a := w.account(t)
	require.Zero(t, a.Difference)
	require.Positive(t, a.ErrorsAcked)
	require.Equal(t, a.ErrorsAcked, a.ErrorsStored)
	require.Zero(t, a.Native.Segments+a.OTLP.Segments+a.LedUp.Segments)
	for _, e := range a.Services {
		require.Zero(t, e.Accepted)
		require.Zero(t, e.Estimate)
	}
	w.spans = w.spans[1:]
	require.NotEmpty(t, w.account(t).problems())
}

func TestRefusalsCutChainsWhoseHopsLieApart(t *testing.T) {
	l := &ledger{content: content{lag: 2, chains: 1}}
	for _, o := range []outcome{acked, acked, refused, acked, acked, unknown, acked} {
		l.end(l.begin(), o)
	}
	require.EqualValues(t, 8, l.first())
	require.Equal(t, []run{{0, 1}, {2, 4}}, slices.Collect(l.segments(8)))
	require.Equal(t, []run{{0, 2}}, slices.Collect(l.segments(9)))
}

// One request by hand: of ten chains' first hops one is kept at 1/2, one is
// rescued, which says nothing of the others.
func TestAnEstimateByHand(t *testing.T) {
	l := &ledger{content: content{service: "orders", lag: 1, chains: 10}}
	l.end(l.begin(), acked)
	w := &world{of: ledgers{0: l}, sampledOut: 134}
	for chain := range 2 {
		w.keep(l, l.first(), chain, run{0, 1}, true, 0.5)
	}
	for i := 3; i < 6; i++ {
		w.spans[i].rescued = true
	}
	a := w.account(t)
	e := a.Services[0]
	require.EqualValues(t, 140, e.Accepted)
	require.EqualValues(t, 6, e.Stored)
	require.InDelta(t, 6, e.Estimate, 1e-9)
	require.InDelta(t, math.Sqrt(9*(1-0.5)/(0.5*0.5)), e.Deviates, 1e-9)
	require.Zero(t, a.Difference)
	require.EqualValues(t, 2, a.OTLP.Whole)
	require.Zero(t, a.OTLP.Long)
}

func TestTracesAloneByHand(t *testing.T) {
	var a alone
	a.add(run{0, 2}, &state{p: [hops]float32{0.5, 0.5}})
	a.add(run{1, 3}, &state{p: [hops]float32{1, 0.25, 0.25}})
	a.add(run{0, 2}, &state{p: [hops]float32{0.5, 0}})
	// Each stands for 1/p chains, which would be kept whole with p*p, and not
	// lost altogether with 1 - (1-p)*(1-p).
	require.InDelta(t, 0.25/0.5+0.0625/0.25, a.whole, 1e-9)
	require.InDelta(t, 0.75/0.5+0.4375/0.25, a.some, 1e-9)
}
