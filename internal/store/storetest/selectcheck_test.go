package storetest_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// searchLiar changes a model's answers to searches.
type searchLiar struct {
	*storetest.Model
	spans  func([]store.Span) []store.Span
	fields func([]store.Field) []store.Field
	values func(store.Values) store.Values
	looked int64
	err    error
}

func (l searchLiar) Select(ctx context.Context, sel store.Selection) iter.Seq2[store.Span, error] {
	return func(yield func(store.Span, error) bool) {
		var all []store.Span
		for s, err := range l.Model.Select(ctx, sel) {
			if err != nil || l.err != nil {
				yield(s, errors.Join(err, l.err))
				return
			}
			all = append(all, s)
		}
		if l.spans != nil {
			all = l.spans(all)
		}
		if sel.Reading != nil {
			sel.Reading.Spans += l.looked
			sel.Reading.Matched = int64(len(all))
		}
		for _, s := range all {
			if !yield(s, nil) {
				return
			}
		}
	}
}

func (l searchLiar) Fields(ctx context.Context, start, end uint64) ([]store.Field, error) {
	fields, err := l.Model.Fields(ctx, start, end)
	if l.fields != nil {
		fields = l.fields(fields)
	}
	return fields, err
}

func (l searchLiar) Values(ctx context.Context, f store.Field, start, end uint64, limit int) (store.Values, error) {
	values, err := l.Model.Values(ctx, f, start, end, limit)
	if l.values != nil {
		values = l.values(values)
	}
	return values, err
}

// TestCheckSearchesFinds holds the check to notice each kind of wrong answer.
func TestCheckSearchesFinds(t *testing.T) {
	model := storetest.NewModel(time.Now)
	require.NoError(t, model.Write(t.Context(), storetest.Traces(
		storetest.Spec{Service: "s", Trace: 1, Span: 1, Start: 1, Name: "one", Status: ptrace.StatusCodeError, Attributes: map[string]any{"k": "v"}},
		storetest.Spec{Service: "s", Trace: 1, Span: 2, Start: 2, Name: "two", Attributes: map[string]any{"k": true}},
		storetest.Spec{Service: "s", Trace: 1, Span: 3, Start: 2, Name: "three", Happened: []string{"e"}},
	)))
	require.NoError(t, storetest.CheckSearches(t.Context(), model, model))
	for want, l := range map[string]searchLiar{
		"<nil>: want":          {spans: func(s []store.Span) []store.Span { return s[:max(0, len(s)-1)] }},
		"not the latest first": {spans: func(s []store.Span) []store.Span { slices.Reverse(s); return s }},
		"the disk":             {err: errors.New("the disk says no")},
		"origin":               {spans: func([]store.Span) []store.Span { return []store.Span{{Origin: []byte{0xff}}} }},
		"impossible figures":   {looked: -1},
		"is missing of [":      {fields: func(f []store.Field) []store.Field { return f[1:] }},
		"v is missing of":      {values: func(v store.Values) store.Values { return store.Values{Complete: true} }},
		"are not sorted":       {values: func(v store.Values) store.Values { slices.Reverse(v.Values); return v }},
		"limit 1":              {values: func(v store.Values) store.Values { v.Complete = true; return v }},
	} {
		l.Model = model
		err := storetest.CheckSearches(t.Context(), model, l)
		if want == "v is missing of" {
			require.ErrorContains(t, err, "is missing of []")
			continue
		}
		require.ErrorContains(t, err, want)
	}
}
