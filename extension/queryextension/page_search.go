package queryextension

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/traceql"
)

// pageFound is what a query found, or why it found nothing.
type pageFound struct {
	status   int // of the answer
	Spansets []pageSpanset
	Took     string
	JSON     string // the same as JSON
	Graph    string // the same as a diagram
	Older    string // where the search goes on; "" at its end

	Problem string
	// Line is the query where the problem is at a place of it, and Before what
	// stands before that place.
	At           bool
	Line, Before string
}

type pageSpanset struct {
	// Words say what the spans have in common and how many there are; "" for
	// a single one.
	Words string
	Spans []pageSpan
}

// Bounds on what a query shows on the page.
const (
	foundSpansets = 20
	foundSpans    = 20  // of a spanset
	foundVisited  = 1e5 // spans that causal operators go over
)

// ask answers a query. Its error is one that who asked has no part in.
func (a *api) ask(ctx context.Context, text, cursor string) (*pageFound, error) {
	begun := a.now()
	answer, err := a.search(ctx, text, cursor)
	if err != nil {
		return a.notFound(text, err)
	}
	found := &pageFound{
		status: http.StatusOK,
		Took:   brief(a.now().Sub(begun)),
		JSON:   "/api/v1/search?" + url.Values{"q": {text}}.Encode(),
		Graph:  "/api/v1/graph?" + url.Values{"q": {text}, "format": {"svg"}}.Encode(),
	}
	if answer.Cursor != "" {
		found.Older = "/?" + url.Values{"q": {text}, "cursor": {answer.Cursor}}.Encode()
	}
	for i := range answer.Spansets {
		of, err := newPageSpanset(&answer.Spansets[i], begun)
		if err != nil {
			return nil, err
		}
		found.Spansets = append(found.Spansets, of)
	}
	return found, nil
}

func (a *api) search(ctx context.Context, text, cursor string) (query.Answer, error) {
	q, err := traceql.Parse(text)
	if err != nil {
		return query.Answer{}, err
	}
	return query.Search(ctx, a.store, q, query.SearchOptions{
		Limit: foundSpansets, MaxSpans: foundSpans, MaxBytes: int(a.cfg.Query.MaxBytes), MaxVisited: foundVisited, Cursor: cursor,
	})
}

// oneLine keeps each character its column.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ", "\t", " ")

// notFound says why a query was not answered.
func (a *api) notFound(text string, err error) (*pageFound, error) {
	p := a.asProblem(asAsked(a.asTooLarge(err)))
	if p.Status == http.StatusInternalServerError {
		return nil, err
	}
	found := &pageFound{status: p.Status, Problem: p.Detail}
	if at, ok := errors.AsType[*traceql.Error](err); ok {
		found.At = true
		found.Line = oneLine.Replace(text)
		found.Before, _ = first(found.Line, at.Column-1)
	}
	return found, nil
}

func newPageSpanset(of *query.Spanset, now time.Time) (pageSpanset, error) {
	spans, err := newSpansJSON(of.Spans)
	if err != nil {
		return pageSpanset{}, err
	}
	var answer pageSpanset
	for i := range spans {
		answer.Spans = append(answer.Spans, newPageSpan(&spans[i], now))
	}
	var words []string
	for _, by := range of.By {
		words = append(words, by.Field.String()+" = "+valueWords(by.Value))
	}
	for _, f := range of.Figures {
		words = append(words, figureWords(f))
	}
	if of.Matched > len(spans) {
		words = append(words, fmt.Sprintf("%d of %d spans", len(spans), of.Matched))
	} else if len(spans) > 1 {
		words = append(words, fmt.Sprintf("%d spans", len(spans)))
	}
	answer.Words = strings.Join(words, ", ")
	return answer, nil
}

// figureWords writes an aggregate and its value.
func figureWords(f query.Figure) string {
	value := strconv.FormatFloat(f.Value, 'g', 6, 64)
	switch f.Aggregate.Arg {
	case traceql.Duration, traceql.TraceDuration, traceql.EventTimeSinceStart:
		value = brief(time.Duration(f.Value))
	}
	return f.Aggregate.String() + " = " + value
}

// valueWords writes what spans were split by.
func valueWords(value any) string {
	switch v := value.(type) {
	case nil:
		return "nil"
	case time.Duration:
		return brief(v)
	default:
		return shown(fmt.Sprint(v)).Short
	}
}

// asAsked says what a fault of a query means to who asked it.
func asAsked(err error) error {
	if e, ok := errors.AsType[*traceql.Error](err); ok {
		return newProblem(http.StatusBadRequest, "q", "%s", e)
	}
	if e, ok := errors.AsType[*query.UnsupportedError](err); ok {
		return newProblem(http.StatusBadRequest, "q", "%s", e)
	}
	if e, ok := errors.AsType[*query.CursorError](err); ok {
		return newProblem(http.StatusBadRequest, "cursor", "%s", e)
	}
	if e, ok := errors.AsType[*query.BoundError](err); ok {
		return newProblem(http.StatusUnprocessableEntity, "q", "%s", e)
	}
	return err
}
