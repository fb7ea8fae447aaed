package correlate

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
)

// gather observes batches and returns the set of edges that were found, a text
// each: "CAUSE EFFECT RULE CONFIDENCE".
func gather(t require.TestingT, e *Engine, batches [][]Observation, names map[causal.SpanRef]string) []string {
	found := map[string]bool{}
	var out Result
	for _, batch := range batches {
		e.Observe(batch, epoch, &out)
		for j := range batch {
			for k := range out.Count(j) {
				f := out.Edge(j, k)
				cause, effect := f.Other, batch[j].Span
				if !f.OtherIsCause {
					cause, effect = effect, cause
				}
				require.NotEqual(t, cause, effect)
				found[fmt.Sprintf("%s %s %s %.2f", names[cause], names[effect], testRules[f.Rule].Name, f.Confidence)] = true
			}
		}
	}
	all := make([]string, 0, len(found))
	for text := range found {
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

func parseAll(t require.TestingT, lines []string) ([]Observation, map[causal.SpanRef]string) {
	names := map[causal.SpanRef]string{}
	var all []Observation
	for _, line := range lines {
		o := parse(t, line)
		names[o.Span] = strings.TrimSuffix(strings.Fields(line)[0], ":")
		all = append(all, o)
	}
	return all, names
}

// split cuts a stream into batches and observes some of them again, later.
func split(t *rapid.T, all []Observation) (batches [][]Observation) {
	for len(all) > 0 {
		n := rapid.IntRange(1, len(all)).Draw(t, "batch")
		batches = append(batches, all[:n])
		all = all[n:]
		if rapid.Bool().Draw(t, "again") {
			batches = append(batches, batches[rapid.IntRange(0, len(batches)-1).Draw(t, "which")])
		}
	}
	return batches
}

// anything is a stream of observations with few keys and all kinds of ops.
func anything(t *rapid.T) (lines []string) {
	few := func(label, prefix string) string {
		return fmt.Sprintf("%s%d", prefix, rapid.IntRange(0, 3).Draw(t, label))
	}
	n := rapid.IntRange(1, 40).Draw(t, "spans")
	for i := range n {
		line := fmt.Sprintf("t%d/s%d process=%s at=%d clock=%s", rapid.IntRange(0, n).Draw(t, "trace"), i, few("process", "p"), i, few("clock", "c"))
		var ops []string
		for range rapid.IntRange(1, 3).Draw(t, "ops") {
			ops = append(ops, rapid.SampledFrom([]string{
				"offer " + few("key", "k"),
				"claim id " + few("key", "k"),
				"claim ref " + few("key", "k") + " " + few("key", "j"),
				"claim spawn " + few("key", "k"),
				"claim signal " + few("key", "k"),
				"send " + few("key", "q") + " " + few("sender", "p"),
				"receive - " + few("key", "q"),
				"receive " + few("sender", "p") + " " + few("key", "q"),
				"arrive " + few("message", "m"), "take -", "take " + few("message", "m"),
				"fail", "end fail", "at-once", "exited",
				"set " + few("key", "k") + " " + few("value", "v"),
				"previous " + few("key", "k") + " " + few("value", "v"),
				"spawned " + few("child", "x") + " " + few("role", "r"), "died " + few("child", "x"),
			}).Draw(t, "op"))
		}
		if rapid.IntRange(0, 4).Draw(t, "open") == 0 {
			lines = append(lines, line+" open: "+strings.Join(ops, "; "))
		}
		lines = append(lines, line+": "+strings.Join(ops, "; "))
	}
	return lines
}

// However a stream is cut, and whatever of it comes again, it finds the same.
func TestCutsAndDuplicatesDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, names := parseAll(t, anything(t))
		whole := gather(t, New(testConfig()), [][]Observation{all}, names)
		require.Equal(t, whole, gather(t, New(testConfig()), split(t, all), names))
	})
}

// Rules that go by identity find the same in any order.
func TestIdentityInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines, want := []string{}, []string{}
		for k := range rapid.IntRange(1, 12).Draw(t, "keys") {
			rule := rapid.SampledFrom([]string{"id", "ref", "spawn", "signal", "retry"}).Draw(t, "rule")
			effects := rapid.IntRange(0, 4).Draw(t, "effects")
			if rule == "spawn" {
				effects = min(effects, 1)
			}
			offered := rapid.IntRange(0, 5).Draw(t, "offered") > 0
			if offered {
				lines = append(lines, fmt.Sprintf("c%d at=1 clock=x: offer k%d; offer other%d", k, k, k))
			}
			for e := range effects {
				lines = append(lines, fmt.Sprintf("e%d.%d at=2 clock=x process=p%d: claim %s k%d none%d", k, e, e, rule, k, k))
				if offered {
					want = append(want, fmt.Sprintf("c%d e%d.%d %s 1.00", k, k, e, rule))
				}
			}
		}
		slices.Sort(want)
		all, names := parseAll(t, rapid.Permutation(lines).Draw(t, "order"))
		found := gather(t, New(testConfig()), split(t, all), names)
		require.ElementsMatch(t, want, found)
	})
}

// Rules that go by order find the same in any order that keeps each process's.
func TestOrderOfEachProcessIsEnough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		processes := map[string][]string{}
		want := []string{}
		for q := range rapid.IntRange(1, 4).Draw(t, "queues") {
			from, to := fmt.Sprintf("sender%d", rapid.IntRange(0, 2).Draw(t, "from")), fmt.Sprintf("receiver%d", rapid.IntRange(0, 2).Draw(t, "to"))
			sends, receives := rapid.IntRange(0, 6).Draw(t, "sends"), rapid.IntRange(0, 6).Draw(t, "receives")
			for i := range sends {
				processes[from] = append(processes[from], fmt.Sprintf("s%d.%d process=%s: send q%d %s", q, i, from, q, from))
			}
			for i := range receives {
				processes[to] = append(processes[to], fmt.Sprintf("r%d.%d process=%s: receive - q%d", q, i, to, q))
			}
			for i := range min(sends, receives) {
				want = append(want, fmt.Sprintf("s%d.%d r%d.%d queue 1.00", q, i, q, i))
			}
		}
		for d := range rapid.IntRange(0, 3).Draw(t, "machines") {
			p := fmt.Sprintf("receiver%d", d)
			processes[p] = append(processes[p],
				fmt.Sprintf("a%d process=%s: set door%d open", d, p, d),
				fmt.Sprintf("f%d process=%s: fail", d, p),
				fmt.Sprintf("x%d process=%s: at-once; previous door%d open", d, p, d))
			want = append(want, fmt.Sprintf("a%d x%d order 0.90", d, d), fmt.Sprintf("f%d x%d once 0.90", d, d))
		}
		slices.Sort(want)
		all, names := parseAll(t, interleave(t, processes))
		require.Equal(t, want, gather(t, New(testConfig()), split(t, all), names))
	})
}

// interleave draws an order that keeps that of each list.
func interleave(t *rapid.T, lists map[string][]string) (all []string) {
	var names []string
	for name := range lists {
		names = append(names, name)
	}
	slices.Sort(names)
	for len(names) > 0 {
		i := rapid.IntRange(0, len(names)-1).Draw(t, "next")
		list := lists[names[i]]
		all = append(all, list[0])
		if lists[names[i]] = list[1:]; len(list) == 1 {
			names = slices.Delete(names, i, i+1)
		}
	}
	return all
}

// Deaths and the spawns that answer them are found whichever is seen first, by
// the one clock they share.
func TestSupervisionInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		processes := map[string][]string{}
		want := []string{}
		at := 0
		roles := rapid.IntRange(1, 3).Draw(t, "roles")
		for r := range roles {
			processes["sup"] = append(processes["sup"], fmt.Sprintf("w%d.0 process=sup at=%d clock=n: spawned child%d.0 role%d", r, at, r, r))
			at++
		}
		lives := make([]int, roles)
		for range rapid.IntRange(0, 6).Draw(t, "deaths") {
			r := rapid.IntRange(0, roles-1).Draw(t, "role")
			n := lives[r]
			lives[r]++
			child := fmt.Sprintf("child%d.%d", r, n)
			processes["deaths"] = append(processes["deaths"], fmt.Sprintf("d%d.%d process=%s at=%d clock=n: died %s", r, n, child, at, child))
			processes["sup"] = append(processes["sup"], fmt.Sprintf("w%d.%d process=sup at=%d clock=n: spawned child%d.%d role%d", r, n+1, at+1, r, n+1, r))
			want = append(want, fmt.Sprintf("d%d.%d w%d.%d respawn 0.90", r, n, r, n+1))
			at += 2
		}
		slices.Sort(want)
		all, names := parseAll(t, interleave(t, processes))
		found := gather(t, New(testConfig()), split(t, all), names)
		require.Equal(t, want, found)
	})
}

// Whatever is forgotten in between, nothing fails, and entries are accounted
// for.
func TestForgettingDoesNoHarm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := testConfig()
		c.MaxEntries = rapid.IntRange(1, 60).Draw(t, "entries")
		c.Window = seconds(rapid.Float64Range(0.02, 1).Draw(t, "window"))
		e := New(c)
		start := number(0) - number(rapid.IntRange(0, 40).Draw(t, "before the numbers wrap"))
		for _, s := range e.shards {
			s.ring.base, s.ring.first, s.ring.next = start, start, start
		}
		var out Result
		now := epoch
		for range rapid.IntRange(1, 8).Draw(t, "rounds") {
			all, _ := parseAll(t, anything(t))
			for i := range all {
				all[i].Root = i%3 == 0
				all[i].Correlation = strings.Repeat("c", i*20%1100)
			}
			for _, batch := range split(t, all) {
				now += int64(seconds(rapid.Float64Range(0, 0.1).Draw(t, "pause")))
				e.Observe(batch, now, &out)
			}
		}
		var live int64
		for _, s := range e.shards {
			for n := s.ring.first; n != s.ring.next; n++ {
				if s.ring.at(n).kind != kindDead {
					live++
				}
			}
		}
		l := e.Stats().Live
		require.Equal(t, live, l.Causes+l.Effects+l.Traces+l.Edges+l.Orders)
	})
}
