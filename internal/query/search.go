package query

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/traceql"
)

// SearchOptions bounds a search.
type SearchOptions struct {
	Range  Range // when the spans began that the query's filters match; spans in between may have begun at any time
	Filter       // of the edges that causal operators go along
	// Limit is how many spansets are returned at most; > 0.
	Limit int
	// MaxSpans is how many spans of a spanset are returned at most; > 0.
	MaxSpans int
	// MaxBytes bounds the stored OTLP that is held at once, for the answer and
	// on the way to it; > 0.
	MaxBytes int
	// MaxVisited bounds how many spans causal operators visit; > 0.
	MaxVisited int
	// Cursor continues where an answer with the same query, range and filter
	// ended; "" begins with the latest.
	Cursor string
	// Explain fills Answer.Plan.
	Explain bool

	// How many right-hand spans a causal operator begins with, how much is read
	// before it is found out which traces or left-hand spans there are at all,
	// and how many rows a trace has at most that is read whole; 0: as is good.
	// Tests have few spans.
	batch, patience, whole int
}

// Answer is what a search found.
type Answer struct {
	Spansets  []Spanset // by their latest span, the latest first
	Truncated bool      // there may be more than the limit let in
	Cursor    string    // continues the search; "" where nothing is left
	Plan      *Plan     // nil unless asked for
}

// Spanset are spans that match together: spans of one trace, or for causal
// operators those right-hand spans that spans of one trace led to.
type Spanset struct {
	Spans   []store.Span // by when they began
	Matched int          // how many there are, those beyond MaxSpans included
	By      []GroupValue // what by() split off
	Figures []Figure     // aggregates that the pipeline compared
	// Path is what lies between left and right of the causal operator, both
	// included, in causal order; only for select(path).
	Path Graph
	// Fields are those of select(), as they are written.
	Fields []traceql.FieldExpr
}

// GroupValue is a field and the value that a spanset has in common; Value is
// nil, string, int64, float64, bool, time.Duration, traceql.StatusValue or
// traceql.KindValue.
type GroupValue struct {
	Field traceql.FieldExpr
	Value any
}

// Figure is an aggregate and its value over a spanset.
type Figure struct {
	Aggregate traceql.Aggregate
	Value     float64 // durations in nanoseconds
}

// UnsupportedError says what a query asks for that cannot be done here.
type UnsupportedError struct{ Problem string }

func (e *UnsupportedError) Error() string { return e.Problem }

// BoundError says which bound ended a query.
type BoundError struct{ Problem string }

func (e *BoundError) Error() string { return e.Problem }

// CursorError says that a cursor is not one that this query gave.
type CursorError struct{ Problem string }

func (e *CursorError) Error() string { return e.Problem }

// SearchSource is what a search asks of a store.
type SearchSource interface {
	Source
	Selector
	Traces(ctx context.Context, ids []pcommon.TraceID, most int) (spans []store.Span, large []pcommon.TraceID, err error)
	Linking(ctx context.Context, refs []causal.SpanRef, limit int) (spans []store.Span, more bool, err error)
}

// Search answers a query. Spans without trace or span id are in no answer.
// Errors: *UnsupportedError, *BoundError, *CursorError, the source's, and
// ctx's.
func Search(ctx context.Context, src SearchSource, q *traceql.Query, opts SearchOptions) (Answer, error) {
	pipe, err := compilePipe(q.Pipeline)
	if err != nil {
		return Answer{}, err
	}
	after, err := parseCursor(opts.Cursor, q, &opts)
	if err != nil {
		return Answer{}, err
	}
	s := searcher{ctx: ctx, src: src, opts: &opts}
	var answer Answer
	var last spanKey
	err = s.run(pipe, &wanted{after: after, most: opts.Limit + 1, yield: func(f *result) error {
		if len(answer.Spansets) == opts.Limit {
			answer.Truncated = true
			return nil
		}
		last = f.key
		answer.Spansets = append(answer.Spansets, f.spanset)
		return nil
	}})
	if bound := (*BoundError)(nil); errors.As(err, &bound) && len(answer.Spansets) > 0 {
		answer.Truncated, err = true, nil // the next page begins with what is too much for this one
	}
	if err != nil {
		return Answer{}, err
	}
	if answer.Truncated {
		answer.Cursor = cursorAt(last, q, &opts)
	}
	if opts.Explain {
		answer.Plan = &s.plan
	}
	return answer, nil
}
