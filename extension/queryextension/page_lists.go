package queryextension

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store"
)

// pageList are the latest of some spans.
type pageList struct {
	Spans []pageSpan
	// Note says why there may be others; "" if there are not.
	Note string
}

// Bounds on each list of the page.
const (
	listLatest   = 20
	listFailures = 10
	// listRead is how many spans are read for it at most: some are passed over.
	listRead = 1000
	// listTime is how long it may take: the page is also looked at when the
	// collector has enough to do.
	listTime = 2 * time.Second
	// listAhead is by how much a span may have begun later than now: clocks
	// differ. Without a bound one that is years ahead would stay on top.
	listAhead = time.Hour
)

// latest lists the spans that began last.
func (a *api) latest(ctx context.Context) pageList {
	return a.list(ctx, store.Selection{}, listLatest)
}

// failures lists the spans that failed last.
func (a *api) failures(ctx context.Context) pageList {
	return a.list(ctx, store.Selection{
		Where: store.Has{Field: store.Field{Of: store.OfStatus}, Value: int64(ptrace.StatusCodeError)},
		NewMatcher: func() func(store.Span) (bool, error) {
			var read otlpwire.Span
			return func(span store.Span) (bool, error) {
				err := read.Parse(span.Bytes)
				return read.StatusCode == int32(ptrace.StatusCodeError), err
			}
		},
	}, listFailures)
}

func (a *api) list(ctx context.Context, sel store.Selection, limit int) pageList {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	now := a.now()
	sel.End = uint64(now.Add(listAhead).UnixNano())
	var found pageList
	if err := a.fill(&found, limit, a.store.Select(ctx, sel), now); errors.Is(err, context.DeadlineExceeded) {
		found.Note = fmt.Sprintf("Reading was given up after %s: there may be others.", listTime)
	} else if err != nil {
		found.Note = "The list cannot be read: " + a.asProblem(err).Detail
	}
	return found
}

// fill takes spans until the list is full. What the collector says of itself
// is passed over: where it sends its own traces to itself, each look at the
// page would fill the page.
func (a *api) fill(list *pageList, limit int, spans iter.Seq2[store.Span, error], now time.Time) error {
	read := 0
	for span, err := range spans {
		if err != nil {
			return err
		}
		if read++; read > listRead {
			list.Note = fmt.Sprintf("The spans that began last are the collector's own: more than %d of them.", listRead-len(list.Spans))
			return nil
		}
		resource, decoded, err := decode(span)
		if err != nil {
			return err
		}
		s := newSpanJSON(resource, decoded)
		if s.Service == a.self {
			continue
		}
		if list.Spans = append(list.Spans, newPageSpan(&s, now)); len(list.Spans) == limit {
			return nil
		}
	}
	return nil
}
