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
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/traceql"
)

// pageFound is what a query found, or why it found nothing.
type pageFound struct {
	status   int // of the answer
	Spansets []pageSpanset
	Grouped  bool // not all of them are single spans
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
	// Words say what the spans have in common and how many there are.
	Words string
	Spans []pageSpan
}

// Bounds on what a query shows on the page.
const (
	foundSpansets = 20
	foundSpans    = 20 // of a spanset
)

// ask answers a query. Its error is one that who asked has no part in.
func (a *api) ask(ctx context.Context, text, cursor string) (*pageFound, error) {
	begun := a.now()
	answer, err := a.answer(ctx, text, cursor)
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
	var reader query.Reader
	for i := range answer.Spansets {
		of, err := newPageSpanset(&answer.Spansets[i], &reader, begun)
		if err != nil {
			return nil, err
		}
		found.Spansets = append(found.Spansets, of)
		found.Grouped = found.Grouped || of.Words != "1 span"
	}
	return found, nil
}

func (a *api) answer(ctx context.Context, text, cursor string) (query.Answer, error) {
	q, err := traceql.Parse(text)
	if err != nil {
		return query.Answer{}, err
	}
	return a.find(ctx, q, query.SearchOptions{
		Limit: foundSpansets, MaxSpans: foundSpans, MaxBytes: int(a.cfg.Query.MaxBytes), MaxVisited: a.cfg.Query.MaxVisited, Cursor: cursor,
	})
}

// oneLine keeps each character its column.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ", "\t", " ")

// notFound says why a query was not answered.
func (a *api) notFound(text string, err error) (*pageFound, error) {
	p := a.asProblem(err)
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

func newPageSpanset(of *query.Spanset, reader *query.Reader, now time.Time) (pageSpanset, error) {
	spans, err := newSpansJSON(of.Spans)
	if err != nil {
		return pageSpanset{}, err
	}
	var answer pageSpanset
	for i := range spans {
		line := newPageSpan(&spans[i], now)
		if line.Selected, err = selectedWords(of.Spans[i], of.Fields, reader); err != nil {
			return pageSpanset{}, err
		}
		answer.Spans = append(answer.Spans, line)
	}
	var words []string
	for _, by := range of.By {
		words = append(words, shown(by.Field.String()+" = "+valueWords(by.Value)).Short)
	}
	for _, f := range of.Figures {
		words = append(words, f.Aggregate.String()+" = "+figureWords(f))
	}
	switch {
	case of.Matched > len(spans):
		words = append(words, fmt.Sprintf("%d of %d spans", len(spans), of.Matched))
	case len(spans) == 1:
		words = append(words, "1 span")
	default:
		words = append(words, fmt.Sprintf("%d spans", len(spans)))
	}
	answer.Words = strings.Join(words, ", ")
	return answer, nil
}

// selectedWords writes the fields of a span that the query selects.
func selectedWords(span store.Span, fields []traceql.FieldExpr, reader *query.Reader) ([]pageText, error) {
	if len(fields) == 0 {
		return nil, nil
	}
	record, err := reader.Read(span)
	if err != nil {
		return nil, err
	}
	var words []pageText
	for _, field := range fields {
		words = append(words, shown(field.String()+" = "+valueWords(record.ValueOf(field))))
	}
	return words, nil
}

// valueWords writes a value that query.GroupValue may have.
func valueWords(value any) string {
	switch v := value.(type) {
	case nil:
		return "nil"
	case time.Duration:
		return brief(v)
	}
	return fmt.Sprint(value)
}

// figureWords writes the value of an aggregate.
func figureWords(f query.Figure) string {
	switch f.Aggregate.Arg {
	case traceql.Duration, traceql.TraceDuration, traceql.EventTimeSinceStart:
		return brief(time.Duration(f.Value))
	}
	return strconv.FormatFloat(f.Value, 'g', 6, 64)
}
