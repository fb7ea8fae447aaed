package tempoapi

import (
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/traceql"
)

// Search is what is asked for.
type Search struct {
	Query       *traceql.Query
	Range       query.Range
	Limit       int // traces
	SpansPerSet int // of a trace
	// Spans are to be had of a spanset. That of a causal query has spans of
	// several traces, which come in spansets of their own.
	Spans int
}

// Limits of a search.
const (
	defaultLimit       = 20
	defaultSpansPerSet = 3
	maxLimit           = 1000 // of both
)

// ParameterError says what is wrong with a parameter.
type ParameterError struct {
	Parameter string
	Problem   string
}

func (e *ParameterError) Error() string { return fmt.Sprintf("invalid %s: %s", e.Parameter, e.Problem) }

// ParseSearch reads the parameters of /api/search: q (TraceQL), or tags (in
// logfmt) with minDuration and maxDuration, which are of traces; start and end
// (seconds), limit, spss. Errors: *ParameterError, *traceql.Error.
func ParseSearch(values url.Values) (s Search, err error) {
	if s.Range, err = ParseRange(values); err != nil {
		return s, err
	}
	if s.Limit, err = number(values, "limit", defaultLimit, 1, maxLimit); err != nil {
		return s, err
	}
	if s.SpansPerSet, err = number(values, "spss", defaultSpansPerSet, 0, maxLimit); err != nil {
		return s, err
	}
	if s.SpansPerSet == 0 { // Tempo's word for all
		s.SpansPerSet = maxLimit
	}
	text := values.Get("q")
	switch {
	case text != "" && values.Get("tags") != "":
		return s, &ParameterError{"tags", "q and tags cannot be given together"}
	case text != "":
		s.Query, err = traceql.Parse(text)
	default:
		if s.Query, err = tagQuery(values); err == nil {
			err = s.Query.Check()
		}
	}
	if s.Spans = s.SpansPerSet; err == nil && followsCauses(s.Query.Pipeline.Source) {
		s.Spans = maxLimit
	}
	return s, err
}

func followsCauses(e traceql.SpansetExpr) bool {
	switch e := e.(type) {
	case *traceql.SpansetOperation:
		return e.Op.Causal() || followsCauses(e.Left) || followsCauses(e.Right)
	case *traceql.Nested:
		return followsCauses(e.Pipeline.Source)
	}
	return false
}

// ParseRange reads start and end, in seconds since the epoch. The second of
// the end is within.
func ParseRange(values url.Values) (r query.Range, err error) {
	start, err := seconds(values, "start")
	if err != nil {
		return r, err
	}
	end, err := seconds(values, "end")
	if err != nil {
		return r, err
	}
	if start > 0 || end > 0 {
		if end <= start {
			return r, &ParameterError{"end", fmt.Sprintf("start must be before end: start=%d end=%d", start, end)}
		}
		r = query.Range{Start: start * 1e9, End: (end + 1) * 1e9}
	}
	return r, nil
}

// ParseLimit reads the limit of a list of names or values; none, 0 and what is
// above most mean most.
func ParseLimit(values url.Values, most int) (int, error) {
	n, err := number(values, "limit", most, 0, math.MaxInt)
	if n == 0 {
		n = most
	}
	return min(n, most), err
}

// tagQuery asks for what the older parameters ask for: each value is contained
// in the tag's, whatever the case, and the durations are the trace's.
func tagQuery(values url.Values) (*traceql.Query, error) {
	tags, err := parseLogfmt(values.Get("tags"))
	if err != nil {
		return nil, err
	}
	var all []traceql.FieldExpr
	for _, tag := range tags {
		all = append(all, tagCondition(tag.key, tag.value))
	}
	var bounds [2]time.Duration
	for i, name := range []string{"minDuration", "maxDuration"} {
		text := values.Get(name)
		if text == "" {
			continue
		}
		if bounds[i], err = time.ParseDuration(text); err != nil || bounds[i] < 0 {
			return nil, &ParameterError{name, fmt.Sprintf("%q is not allowed: must be a duration such as 10s or 100ms", text)}
		}
		op := []traceql.CompareOp{traceql.GreaterEqual, traceql.LessEqual}[i]
		all = append(all, &traceql.Comparison{Op: op, Left: traceql.TraceDuration, Right: traceql.Literal{Kind: traceql.LiteralDuration, Duration: bounds[i]}})
	}
	if values.Get("maxDuration") != "" && bounds[1] < bounds[0] {
		return nil, &ParameterError{"maxDuration", "must not be less than minDuration"}
	}
	return &traceql.Query{Pipeline: traceql.Pipeline{Source: &traceql.Filter{Expr: traceql.All(all)}}}, nil
}

// tagCondition is true of a span that has the tag itself or on its resource.
func tagCondition(key, value string) traceql.FieldExpr {
	within := traceql.Literal{Kind: traceql.LiteralString, Text: "(?is).*" + regexp.QuoteMeta(value) + ".*"}
	contains := func(field traceql.FieldExpr) traceql.FieldExpr {
		return &traceql.Comparison{Op: traceql.RegexMatch, Left: field, Right: within}
	}
	equal := func(field traceql.FieldExpr, value traceql.Literal) traceql.FieldExpr {
		return &traceql.Comparison{Op: traceql.Equal, Left: field, Right: value}
	}
	status := func(s traceql.StatusValue) traceql.FieldExpr {
		return equal(traceql.Status, traceql.Literal{Kind: traceql.LiteralStatus, Status: s})
	}
	var any []traceql.FieldExpr
	switch key {
	case "name":
		any = append(any, contains(traceql.Name))
	case "root.name":
		any = append(any, contains(traceql.RootName))
	case "root.service.name":
		any = append(any, contains(traceql.RootServiceName))
	case "error":
		if value == "true" {
			any = append(any, status(traceql.StatusError))
		}
	case "status.code":
		if s, ok := statuses[value]; ok {
			any = append(any, status(s))
		}
	}
	for _, scope := range []traceql.Scope{traceql.ScopeSpan, traceql.ScopeResource} {
		field := &traceql.Attribute{Scope: scope, Name: key}
		any = append(any, contains(field))
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			any = append(any, equal(field, traceql.Literal{Kind: traceql.LiteralInt, Int: n}))
		} else if f, err := strconv.ParseFloat(value, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			any = append(any, equal(field, traceql.Literal{Kind: traceql.LiteralFloat, Float: f}))
		}
		if value == "true" || value == "false" {
			any = append(any, equal(field, traceql.Literal{Kind: traceql.LiteralBool, Bool: value == "true"}))
		}
	}
	return traceql.Any(any)
}

var statuses = map[string]traceql.StatusValue{
	"unset": traceql.StatusUnset, "ok": traceql.StatusOK, "error": traceql.StatusError,
}

type tag struct{ key, value string }

// parseLogfmt reads key=value pairs with blanks between; a value with blanks
// stands in double quotes, in which \ escapes.
func parseLogfmt(text string) ([]tag, error) {
	var tags []tag
	for rest := strings.TrimLeft(text, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		end := strings.IndexAny(rest, `= "`)
		if end <= 0 || rest[end] != '=' {
			return nil, &ParameterError{"tags", fmt.Sprintf("expected key=value at %.40q", rest)}
		}
		t := tag{key: rest[:end]}
		rest = rest[end+1:]
		if strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, &ParameterError{"tags", fmt.Sprintf("the quotes at %.40q do not end", rest)}
			}
			t.value, _ = strconv.Unquote(quoted) // it is what QuotedPrefix found
			rest = rest[len(quoted):]
			if rest != "" && rest[0] != ' ' {
				return nil, &ParameterError{"tags", fmt.Sprintf("expected a blank at %.40q", rest)}
			}
		} else {
			t.value, rest, _ = strings.Cut(rest, " ")
			if strings.Contains(t.value, `"`) {
				return nil, &ParameterError{"tags", fmt.Sprintf("quotes within %.40q", t.value)}
			}
		}
		tags = append(tags, t)
	}
	return tags, nil
}

func number(values url.Values, name string, none, low, high int) (int, error) {
	text := values.Get(name)
	if text == "" {
		return none, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, &ParameterError{name, fmt.Sprintf("%q is not allowed: must be a number from %d to %d", text, low, high)}
	}
	return n, nil
}

func seconds(values url.Values, name string) (uint64, error) {
	text := values.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 33)
	if err != nil {
		return 0, &ParameterError{name, fmt.Sprintf("%q is not allowed: must be seconds since the epoch", text)}
	}
	return n, nil
}
