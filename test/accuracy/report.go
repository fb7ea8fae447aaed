package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/otelscope/otelscope/internal/causal"
)

// report writes docs/accuracy.md.
func report(out io.Writer, o options, verdicts []*verdict) {
	fmt.Fprintf(out, "# Accuracy\n\n")
	fmt.Fprintf(out, "What the collector found against what the generator knows is true. Written by `make accuracy` (seed %d): each workload is sent to a fresh collector over HTTP or gRPC by %d senders at once, and all edges are read from `GET /api/v1/edges`.\n\n", o.seed, lanes)
	fmt.Fprintf(out, "The bars, for every kind in every workload: at least %s of the edges of confidence %v and more are right, and at least %s of the true edges are found. An edge that nobody can be sure of who sees only what is sent (internal/workload/decide.go says when) is undecided and counts apart. *Early* is the share of true edges, parents apart, whose effect was sent before its cause.\n\n", percent(minPrecision), sure, percent(minRecall))
	fmt.Fprintf(out, "## Workloads\n\n| workload | | told as | sent | early |\n|---|---|---|---|---|\n")
	for _, v := range verdicts {
		fmt.Fprintf(out, "| %s | %s | %s | %d | %s |\n", v.plan.name, v.plan.what, v.unit(), v.plan.events, v.early())
	}
	fmt.Fprintf(out, "\n## Edges\n\n*Out of nothing* are found edges into what nothing that was sent caused. Of undecided ones: how many of those found are right.\n\n")
	fmt.Fprintf(out, "| workload | kind | true | found | right | precision | recall | out of nothing | undecided |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, v := range verdicts {
		for _, kind := range causal.Types {
			if s := v.scores[kind]; *s != (score{}) {
				fmt.Fprintf(out, "| %s | %s | %d | %d | %d | %s | %s | %d | %s |\n", v.plan.name, kind, s.truth, s.found, s.right, share(s.sureRight, s.sure), share(s.right, s.truth), s.baseless, s.undecided())
			}
		}
	}
	fmt.Fprintf(out, "\n## Calibration\n\nHow often edges are right that a rule is so sure of, over all workloads: of those that what was sent decides, of those that it does not, and of all.\n\n| confidence | rule | found | right | | undecided, found | right | | of all |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, row := range calibration(verdicts) {
		fmt.Fprintf(out, "| %.2f | %s | %d | %d | %s | %d | %d | %s | %s |\n", row.confidence, row.rule, row.found, row.right, share(row.right, row.found), row.undecidedFound, row.undecidedRight, share(row.undecidedRight, row.undecidedFound), share(row.right+row.undecidedRight, row.found+row.undecidedFound))
	}
	missed := failures(verdicts)
	if len(missed) > 0 {
		fmt.Fprintf(out, "\n## Bars that are missed\n\n- %s\n", strings.Join(missed, "\n- "))
	}
}

func failures(verdicts []*verdict) (missed []string) {
	for _, v := range verdicts {
		missed = append(missed, v.failures()...)
	}
	return missed
}

func (v *verdict) unit() string {
	if v.plan.form == native {
		return "events"
	}
	return "spans"
}

func (v *verdict) early() string {
	if v.plan.form != native {
		return "-"
	}
	return percent(v.plan.early)
}

func (s *score) undecided() string {
	if s.undecidedTruth+s.undecidedFound == 0 {
		return "-"
	}
	return fmt.Sprintf("%d, found %d, right %d", s.undecidedTruth, s.undecidedFound, s.undecidedRight)
}

func share(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return percent(ratio(part, whole))
}

type calibrated struct {
	claimed
	bucket
}

// calibration adds up the buckets of all workloads, the surest first.
func calibration(verdicts []*verdict) []calibrated {
	sum := map[claimed]bucket{}
	for _, v := range verdicts {
		for c, b := range v.buckets {
			s := sum[c]
			sum[c] = bucket{s.found + b.found, s.right + b.right, s.undecidedFound + b.undecidedFound, s.undecidedRight + b.undecidedRight}
		}
	}
	var rows []calibrated
	for c, b := range sum {
		rows = append(rows, calibrated{c, b})
	}
	slices.SortFunc(rows, func(a, b calibrated) int {
		return cmp.Or(cmp.Compare(b.confidence, a.confidence), cmp.Compare(a.rule, b.rule))
	})
	return rows
}

// explain lists what is wrong and what is missed, by rule and kind, with the
// first few of each.
func explain(out io.Writer, v *verdict, each int) {
	wrong := map[string][]string{}
	for _, f := range v.wrong {
		key := fmt.Sprintf("wrong %s by %s, confidence %.2f", f.kind, f.rule, f.confidence)
		wrong[key] = append(wrong[key], f.cause+" -> "+f.effect)
	}
	for _, e := range v.missed {
		key := fmt.Sprintf("missed %s", e.kind)
		wrong[key] = append(wrong[key], e.cause+" -> "+e.effect)
	}
	for _, key := range slices.Sorted(maps.Keys(wrong)) {
		list := wrong[key]
		fmt.Fprintf(out, "  %s: %s: %d\n", v.plan.name, key, len(list))
		for _, line := range list[:min(each, len(list))] {
			fmt.Fprintf(out, "    %s\n", line)
		}
	}
}
