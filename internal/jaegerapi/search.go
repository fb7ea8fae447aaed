package jaegerapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/traceql"
)

// Search is what is asked for: traces by id, or those with a span that
// matches.
type Search struct {
	TraceIDs []string // as they were given; then nothing else counts
	Query    *traceql.Query
	Range    query.Range
	Limit    int // traces
}

// Limits of a search, in traces. The UI offers up to 1500.
const (
	defaultLimit = 100
	maxLimit     = 1500
)

// ParameterError says what is wrong with a parameter.
type ParameterError struct {
	Parameter string
	Problem   string
}

func (e *ParameterError) Error() string {
	return fmt.Sprintf("parameter %s: %s", e.Parameter, e.Problem)
}

// ParseSearch reads the parameters of /api/traces: service, operation, tags (a
// JSON object of texts) and tag (key:value), minDuration, maxDuration (10ms),
// start, end (microseconds), limit, or traceID; tag, tags and traceID may be
// given several times. Like Jaeger itself it ignores lookback: the UI says in
// start what that comes to. Errors: *ParameterError, *traceql.Error.
func ParseSearch(values url.Values) (s Search, err error) {
	if ids := values["traceID"]; len(ids) > 0 {
		if len(ids) > maxLimit {
			return s, &ParameterError{"traceID", fmt.Sprintf("%d are given: allowed are %d", len(ids), maxLimit)}
		}
		return Search{TraceIDs: ids}, nil
	}
	wanted := conditions{service: values.Get("service"), operation: values.Get("operation"), tags: map[string]string{}}
	for _, tag := range values["tag"] {
		key, value, ok := strings.Cut(tag, ":")
		if !ok {
			return s, &ParameterError{"tag", fmt.Sprintf("%q is not allowed: must be key:value", tag)}
		}
		wanted.tags[key] = value
	}
	for _, tags := range values["tags"] {
		if err := wanted.addTags("tags", tags); err != nil {
			return s, err
		}
	}
	if err := wanted.addDurations(values, "minDuration", "maxDuration"); err != nil {
		return s, err
	}
	if s.Range.Start, err = microseconds(values, "start"); err != nil {
		return s, err
	}
	if s.Range.End, err = microseconds(values, "end"); err != nil {
		return s, err
	}
	if s.Limit, err = limit(values, "limit"); err != nil {
		return s, err
	}
	if err := checkRange(s.Range, "start", "end"); err != nil {
		return s, err
	}
	s.Query = wanted.query()
	return s, s.Query.Check()
}

// ParseSearchV3 reads the parameters of /api/v3/traces and
// /api/v3/trace-summaries: query.serviceName, query.operationName,
// query.attributes (JSON), query.durationMin, query.durationMax,
// query.startTimeMin, query.startTimeMax (RFC 3339), query.searchDepth; and
// their older names, such as query.service_name. Errors: *ParameterError, *traceql.Error.
func ParseSearchV3(values url.Values) (s Search, err error) {
	get := func(name string) (used, value string) { return either(values, "query."+name) }
	if name, filter := get("filter"); filter != "" {
		return s, &ParameterError{name, "filter expressions are not supported: use query.attributes, or Scope's own search"}
	}
	wanted := conditions{tags: map[string]string{}}
	_, wanted.service = get("serviceName")
	_, wanted.operation = get("operationName")
	if name, attributes := get("attributes"); attributes != "" {
		if err := wanted.addTags(name, attributes); err != nil {
			return s, err
		}
	}
	minName, _ := get("durationMin")
	maxName, _ := get("durationMax")
	if err := wanted.addDurations(values, minName, maxName); err != nil {
		return s, err
	}
	startName, _ := get("startTimeMin")
	endName, _ := get("startTimeMax")
	if s.Range.Start, err = timestamp(values, startName); err != nil {
		return s, err
	}
	if s.Range.End, err = timestamp(values, endName); err != nil {
		return s, err
	}
	depth, value := get("searchDepth")
	if value == "" && values.Has("query.num_traces") {
		depth = "query.num_traces"
	}
	if s.Limit, err = limit(values, depth); err != nil {
		return s, err
	}
	if err := checkRange(s.Range, startName, endName); err != nil {
		return s, err
	}
	s.Query = wanted.query()
	return s, s.Query.Check()
}

// CheckLookback checks endTs and lookback, both in milliseconds.
func CheckLookback(values url.Values) error {
	for _, name := range []string{"endTs", "lookback"} {
		text := values.Get(name)
		if _, err := strconv.ParseUint(text, 10, 63); text != "" && err != nil {
			return &ParameterError{name, fmt.Sprintf("%q is not allowed: must be milliseconds", text)}
		}
	}
	return nil
}

// CheckRangeV3 checks startTime and endTime (RFC 3339), or their older names.
func CheckRangeV3(values url.Values) error {
	for _, name := range []string{"startTime", "endTime"} {
		used, _ := either(values, name)
		if _, err := timestamp(values, used); err != nil {
			return err
		}
	}
	return nil
}

// conditions are what one span must fulfil.
type conditions struct {
	service, operation string
	tags               map[string]string
	min, max           time.Duration // 0: no bound
}

func (c *conditions) addTags(name, text string) error {
	var tags map[string]string
	if err := json.Unmarshal([]byte(text), &tags); err != nil {
		return &ParameterError{name, fmt.Sprintf("%.100q is not allowed: must be a JSON object of texts: %s", text, err)}
	}
	maps.Copy(c.tags, tags)
	return nil
}

func (c *conditions) addDurations(values url.Values, minName, maxName string) (err error) {
	if c.min, err = duration(values, minName); err != nil {
		return err
	}
	if c.max, err = duration(values, maxName); err != nil {
		return err
	}
	if c.max > 0 && c.max < c.min {
		return &ParameterError{maxName, fmt.Sprintf("%s is not allowed: must not be less than %s", c.max, minName)}
	}
	return nil
}

func (c *conditions) query() *traceql.Query {
	var all []traceql.FieldExpr
	if c.service != "" {
		all = append(all, equal(&traceql.Attribute{Scope: traceql.ScopeResource, Name: attrService}, str(c.service)))
	}
	if c.operation != "" {
		all = append(all, equal(traceql.Name, str(c.operation)))
	}
	for _, key := range slices.Sorted(maps.Keys(c.tags)) {
		all = append(all, tagCondition(key, c.tags[key]))
	}
	bound := func(op traceql.CompareOp, d time.Duration) {
		if d > 0 {
			all = append(all, &traceql.Comparison{Op: op, Left: traceql.Duration, Right: traceql.Literal{Kind: traceql.LiteralDuration, Duration: d}})
		}
	}
	bound(traceql.GreaterEqual, c.min)
	bound(traceql.LessEqual, c.max)
	return &traceql.Query{Pipeline: traceql.Pipeline{Source: &traceql.Filter{Expr: traceql.All(all)}}}
}

// tagCondition is true of spans that NewTraces gives the tag, be it on the
// span, its process or one of its logs. Values are given as text, whatever
// their type.
func tagCondition(key, value string) traceql.FieldExpr {
	var any []traceql.FieldExpr
	for _, scope := range []traceql.Scope{traceql.ScopeSpan, traceql.ScopeResource, traceql.ScopeEvent} {
		for _, literal := range literals(value) {
			any = append(any, equal(&traceql.Attribute{Scope: scope, Name: key}, literal))
		}
	}
	if made := madeCondition(key, value); made != nil {
		any = append(any, made)
	}
	return traceql.Any(any)
}

// madeCondition is about the tags that NewTraces makes; nil if it makes no such
// tag.
func madeCondition(key, value string) traceql.FieldExpr {
	status := func(s traceql.StatusValue) traceql.FieldExpr {
		return equal(traceql.Status, traceql.Literal{Kind: traceql.LiteralStatus, Status: s})
	}
	switch key {
	case tagError:
		if value == "true" {
			return status(traceql.StatusError)
		}
	case tagStatus:
		switch strings.ToUpper(value) {
		case "ERROR":
			return status(traceql.StatusError)
		case "OK":
			return status(traceql.StatusOK)
		}
	case tagDescription:
		return equal(traceql.StatusMessage, str(value))
	case tagKind:
		if kind, ok := kinds[strings.ToLower(value)]; ok {
			return equal(traceql.Kind, traceql.Literal{Kind: traceql.LiteralSpanKind, SpanKind: kind})
		}
	case tagScopeName:
		return equal(traceql.InstrumentationName, str(value))
	case tagScopeVersion:
		return equal(traceql.InstrumentationVersion, str(value))
	case "event":
		return equal(traceql.EventName, str(value))
	}
	return nil
}

var kinds = map[string]traceql.KindValue{
	"internal": traceql.KindInternal, "server": traceql.KindServer, "client": traceql.KindClient,
	"producer": traceql.KindProducer, "consumer": traceql.KindConsumer,
}

// literals are the values that a text may stand for.
func literals(value string) []traceql.Literal {
	all := []traceql.Literal{str(value)}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		all = append(all, traceql.Literal{Kind: traceql.LiteralInt, Int: n})
	} else if f, err := strconv.ParseFloat(value, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
		all = append(all, traceql.Literal{Kind: traceql.LiteralFloat, Float: f})
	}
	if value == "true" || value == "false" {
		all = append(all, traceql.Literal{Kind: traceql.LiteralBool, Bool: value == "true"})
	}
	return all
}

func str(value string) traceql.Literal {
	return traceql.Literal{Kind: traceql.LiteralString, Text: value}
}

func equal(field traceql.FieldExpr, value traceql.Literal) traceql.FieldExpr {
	return &traceql.Comparison{Op: traceql.Equal, Left: field, Right: value}
}
