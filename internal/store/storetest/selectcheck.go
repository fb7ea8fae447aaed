package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// Fulfils reports whether a condition is true of p.
func (p Plain) Fulfils(c store.Condition) bool {
	switch c := c.(type) {
	case store.All:
		return !slices.ContainsFunc(c, func(c store.Condition) bool { return !p.Fulfils(c) })
	case store.Any:
		return slices.ContainsFunc(c, p.Fulfils)
	case store.Has:
		return p.has(c.Field, func(v any) bool { return v == c.Value })
	case store.Among:
		return p.has(c.Field, func(v any) bool { text, ok := v.(string); return ok && c.Accept(text) })
	case store.Lasted:
		lasted := uint64(0)
		if s := p.Span(); s.EndTimestamp() > s.StartTimestamp() {
			lasted = uint64(s.EndTimestamp() - s.StartTimestamp())
		}
		return lasted >= c.Min && lasted <= c.Max
	}
	return true
}

func (p Plain) has(f store.Field, is func(any) bool) (found bool) {
	eachField(p, func(g store.Field, v any) { found = found || g == f && is(v) })
	return found
}

// Matching returns matchers for the spans of which want is true.
func Matching(want func(Plain) bool) func() func(store.Span) (bool, error) {
	return func() func(store.Span) (bool, error) {
		return func(s store.Span) (bool, error) {
			p, err := Decode(s)
			return err == nil && want(p), err
		}
	}
}

// CheckSelect compares what got and want, which hold the same, select.
func CheckSelect(ctx context.Context, want, got store.Store, sel store.Selection) error {
	reading := store.Reading{}
	sel.Reading = &reading
	spans, err := selected(ctx, got, sel)
	if err != nil {
		return err
	}
	sel.Reading = nil
	expected, err := selected(ctx, want, sel)
	if err != nil {
		return err
	}
	if !slices.EqualFunc(sorted(expected), sorted(spans), Plain.Equal) {
		return fmt.Errorf("%+v: want\n%s\ngot\n%s", sel.Where, Describe(expected), Describe(spans))
	}
	if !slices.IsSortedFunc(spans, latestPlainFirst) {
		return fmt.Errorf("%+v: not the latest first:\n%s", sel.Where, Describe(spans))
	}
	if reading.Matched != int64(len(spans)) || reading.Spans < reading.Matched || reading.PartsSkipped > reading.Parts || reading.ZonesSkipped > reading.Zones {
		return fmt.Errorf("%+v: impossible figures %+v for %d spans", sel.Where, reading, len(spans))
	}
	return checkEarlyEnd(ctx, got, sel, spans)
}

// checkEarlyEnd takes the first half only.
func checkEarlyEnd(ctx context.Context, s store.Store, sel store.Selection, all []Plain) error {
	n := 0
	for span, err := range s.Select(ctx, sel) {
		if err != nil {
			return err
		}
		p, err := Decode(span)
		if err != nil {
			return err
		}
		if n >= len(all) || latestPlainFirst(p, all[n]) != 0 {
			return fmt.Errorf("%+v: another span in place %d when it ends early", sel.Where, n)
		}
		if n++; n > len(all)/2 {
			break
		}
	}
	return nil
}

func selected(ctx context.Context, s store.Store, sel store.Selection) (out []Plain, err error) {
	for span, err := range s.Select(ctx, sel) {
		if err != nil {
			return nil, err
		}
		p, err := Decode(span)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func latestPlainFirst(a, b Plain) int { return latestFirst(&entry{plain: a}, &entry{plain: b}) }

// CheckSearches asks got for the fields, the values and by them for the spans
// that want holds too.
func CheckSearches(ctx context.Context, want, got store.Store) error {
	var all []Plain
	for span, err := range want.Select(ctx, store.Selection{}) {
		if err != nil {
			return err
		}
		p, err := Decode(span)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	fields, err := checkFields(ctx, want, got)
	if err != nil {
		return err
	}
	for _, f := range fields {
		if err := checkValues(ctx, want, got, f); err != nil {
			return err
		}
	}
	conditions := []store.Condition{nil, store.All{}, store.Any{}, store.Lasted{Min: 1, Max: 5}, store.Has{Field: store.Field{Key: "nobody has this"}, Value: "x"}}
	for _, p := range all {
		conditions = append(conditions, p.conditions()...)
	}
	for i := 0; i < len(conditions); i += 1 + i/5 { // fewer and fewer
		c := conditions[i]
		sel := store.Selection{Where: c, NewMatcher: Matching(func(p Plain) bool { return p.Fulfils(c) }), IgnoresLinks: i%2 == 0}
		if len(all) > 0 {
			sel.Start = uint64(all[len(all)-1-i%len(all)].Span().StartTimestamp())
			if i%3 == 0 {
				sel.Start, sel.End = 0, uint64(all[i%len(all)].Span().StartTimestamp())
			}
		}
		if err := CheckSelect(ctx, want, got, sel); err != nil {
			return err
		}
		if _, err := got.Estimate(ctx, sel); err != nil {
			return err
		}
	}
	return nil
}

// conditions returns some that are true of p.
func (p Plain) conditions() (out []store.Condition) {
	var all store.All
	eachField(p, func(f store.Field, v any) {
		c := store.Has{Field: f, Value: v}
		out = append(out, c)
		if text, ok := v.(string); ok {
			out = append(out, store.Among{Field: f, Accept: func(s string) bool { return strings.HasPrefix(s, text[:len(text)/2]) }})
		}
		all = append(all, c)
	})
	return append(out, all, store.Any{all[0], all[len(all)-1]}, store.All{all[0], store.Any{all[1], store.Lasted{Min: 1 << 40, Max: 1 << 50}}})
}

// keyless are the fields that are no attributes.
var keyless = []store.Field{{Of: store.OfName}, {Of: store.OfKind}, {Of: store.OfStatus}, {Of: store.OfStatusMessage}, {Of: store.OfEventName}, {Key: "none has it"}}

// checkFields returns the fields that want has. A store may know of more: of
// versions that lost.
func checkFields(ctx context.Context, want, got store.Store) ([]store.Field, error) {
	fields, err := want.Fields(ctx, 0, 0)
	if err != nil {
		return nil, err
	}
	found, err := got.Fields(ctx, 0, 0)
	if err != nil {
		return nil, err
	}
	for _, f := range fields {
		if !slices.Contains(found, f) {
			return nil, fmt.Errorf("field %v is missing of %v", f, found)
		}
	}
	return append(fields, keyless...), nil
}

func checkValues(ctx context.Context, want, got store.Store, f store.Field) error {
	const limit = 1000
	values, err := want.Values(ctx, f, 0, 0, limit)
	if err != nil {
		return err
	}
	found, err := got.Values(ctx, f, 0, 0, limit)
	if err != nil {
		return err
	}
	for _, v := range values.Values {
		if found.Complete && !slices.Contains(found.Values, v) {
			return fmt.Errorf("values of %v: %v is missing of %v", f, v, found.Values)
		}
	}
	if !slices.IsSortedFunc(found.Values, compareValues) {
		return fmt.Errorf("values of %v are not sorted: %v", f, found.Values)
	}
	few, err := got.Values(ctx, f, 0, 0, 1)
	if err == nil && (len(few.Values) > 1 || few.Complete && len(found.Values) > 1) {
		err = fmt.Errorf("values of %v: limit 1: %+v", f, few)
	}
	return err
}

// searches are random selections of random spans.
func searches(t *testing.T, h Harness) {
	model := NewModel(clock())
	rapid.Check(t, func(rt *rapid.T) {
		td := Traces(rapid.SliceOfN(SearchedSpecs(), 0, 10).Draw(rt, "specs")...)
		require.NoError(rt, h.Store().Write(t.Context(), td))
		require.NoError(rt, model.Write(t.Context(), td))
		switch rapid.IntRange(0, 30).Draw(rt, "move") {
		case 0:
			h.Cut(t)
		case 1:
			h.Reopen(t)
		}
		for range 3 {
			require.NoError(rt, CheckSelect(t.Context(), model, h.Store(), Selections().Draw(rt, "selection")))
		}
	})
	for _, move := range []func(){func() {}, func() { h.Cut(t) }, func() { h.Reopen(t) }} {
		move()
		require.NoError(t, CheckSearches(t.Context(), model, h.Store()))
	}
}

var (
	searchedKeys   = []string{"a", "b", "http.route", causal.AttrEventID, causal.AttrCorrelationID}
	searchedTexts  = []string{"", "x", "y", "xy", strings.Repeat("long ", 100)}
	searchedValues = []any{"", "x", "xy", strings.Repeat("long ", 100), int64(0), int64(1), int64(-1), int64(300), 0.0, 1.0, 2.5, true, false}
)

// SearchedSpecs generates spans that have values in all kinds of fields.
func SearchedSpecs() *rapid.Generator[Spec] {
	return rapid.Custom(func(t *rapid.T) Spec {
		s := Specs().Draw(t, "spec")
		s.Trace, s.Span = rapid.Uint64Range(0, 40).Draw(t, "trace"), rapid.Uint64Range(0, 40).Draw(t, "span")
		s.Start = rapid.Uint64Range(0, 50).Draw(t, "start")
		s.Lasted = rapid.Uint64Range(0, 20).Draw(t, "lasted")
		s.Name = rapid.SampledFrom(searchedTexts).Draw(t, "name")
		s.Status = rapid.SampledFrom([]ptrace.StatusCode{0, 0, 1, 2}).Draw(t, "status")
		s.Message = rapid.SampledFrom(searchedTexts).Draw(t, "message")
		s.Happened = rapid.SliceOfN(rapid.SampledFrom(searchedTexts), 0, 2).Draw(t, "happened")
		s.Attributes = rapid.MapOfN(rapid.SampledFrom(searchedKeys), rapid.SampledFrom(searchedValues), 0, 3).Draw(t, "attributes")
		return s
	})
}

// Selections generates selections of such spans. Where may say less than the
// matcher.
func Selections() *rapid.Generator[store.Selection] {
	return rapid.Custom(func(t *rapid.T) store.Selection {
		c := drawCondition(t, 0)
		linked := rapid.IntRange(0, 3).Draw(t, "linked") == 0
		sel := store.Selection{
			Start: rapid.Uint64Range(0, 50).Draw(t, "from"), End: rapid.Uint64Range(0, 60).Draw(t, "to"),
			Where:        c,
			NewMatcher:   Matching(func(p Plain) bool { return p.Fulfils(c) && (!linked || len(p.Links) > 1) }),
			IgnoresLinks: !linked && rapid.Bool().Draw(t, "ignores links"),
		}
		switch rapid.IntRange(0, 5).Draw(t, "knows") {
		case 0:
			sel.Where = nil
		case 1:
			sel.Where = store.Any{c, drawCondition(t, 1)}
		case 2:
			if all, ok := c.(store.All); ok && len(all) > 0 {
				sel.Where = all[:len(all)-1]
			}
		case 3:
			sel.NewMatcher, sel.Where = nil, nil
		}
		return sel
	})
}

func drawCondition(t *rapid.T, depth int) store.Condition {
	last := 4
	if depth == 3 {
		last = 2
	}
	switch rapid.IntRange(0, last).Draw(t, "condition") {
	case 0:
		return store.Lasted{Min: rapid.Uint64Range(0, 20).Draw(t, "min"), Max: rapid.Uint64Range(0, 20).Draw(t, "max")}
	case 1:
		accepted := rapid.SliceOf(rapid.SampledFrom(searchedTexts)).Draw(t, "accepted")
		return store.Among{Field: drawField(t), Accept: func(s string) bool { return slices.Contains(accepted, s) }}
	case 2:
		f := drawField(t)
		value := rapid.SampledFrom(searchedValues).Draw(t, "value")
		if f.Of == store.OfKind || f.Of == store.OfStatus {
			value = rapid.Int64Range(0, 3).Draw(t, "number")
		}
		return store.Has{Field: f, Value: value}
	}
	var parts []store.Condition
	for range rapid.IntRange(0, 3).Draw(t, "parts") {
		parts = append(parts, drawCondition(t, depth+1))
	}
	if rapid.Bool().Draw(t, "all") {
		return store.All(parts)
	}
	return store.Any(parts)
}

func drawField(t *rapid.T) store.Field {
	f := store.Field{Of: store.FieldOf(rapid.IntRange(0, int(store.OfEventName)).Draw(t, "of"))}
	switch f.Of {
	case store.OfSpan:
		f.Key = rapid.SampledFrom(searchedKeys).Draw(t, "key")
	case store.OfResource:
		f.Key = "service.name"
	case store.OfEvent:
		f.Key = "happened"
	}
	return f
}

// matcherFails: what a matcher says goes wrong is what the selection says.
func matcherFails(t *testing.T, h Harness) {
	errNo := errors.New("cannot tell")
	for range 2 {
		require.NoError(t, h.Store().Write(t.Context(), Traces(Spec{Trace: 1, Span: 1}, Spec{Trace: 1, Span: 2})))
		for _, ignores := range []bool{false, true} {
			n := 0
			for _, err := range h.Store().Select(t.Context(), store.Selection{
				IgnoresLinks: ignores,
				NewMatcher:   func() func(store.Span) (bool, error) { return func(store.Span) (bool, error) { return false, errNo } },
			}) {
				require.ErrorIs(t, err, errNo)
				n++
			}
			require.Equal(t, 1, n)
		}
		h.Cut(t)
	}
}
