// Package tempoapi speaks Tempo's query API over HTTP, in the shapes that
// Grafana's Tempo data source and Tempo's own client read: it makes queries of
// their parameters, and their JSON of what was found. docs/tools.md says what
// is supported.
//
// Tempo's client refuses JSON fields that it does not know, so answers have
// only those that all its versions have. 64-bit integers are text, as protobuf
// has it in JSON.
package tempoapi

// SearchResponse answers /api/search.
type SearchResponse struct {
	Traces  []Trace `json:"traces"`
	Metrics Metrics `json:"metrics"`
}

// Metrics say what was read for an answer.
type Metrics struct {
	InspectedTraces int   `json:"inspectedTraces,omitempty"`
	InspectedBytes  int64 `json:"inspectedBytes,string,omitempty"`
	TotalBlocks     int   `json:"totalBlocks,omitempty"`
}

// Trace is a trace in short and what matched of it.
type Trace struct {
	TraceID        string             `json:"traceID"` // 32 hex digits
	RootService    string             `json:"rootServiceName"`
	RootName       string             `json:"rootTraceName"`
	Start          uint64             `json:"startTimeUnixNano,string"`
	DurationMillis uint32             `json:"durationMs,omitempty"`
	SpanSet        *SpanSet           `json:"spanSet,omitempty"` // the only one, for clients that know no others
	SpanSets       []SpanSet          `json:"spanSets,omitempty"`
	ServiceStats   map[string]Service `json:"serviceStats,omitempty"`
}

// Service counts a trace's spans of one service.
type Service struct {
	Spans  int `json:"spanCount,omitempty"`
	Errors int `json:"errorCount,omitempty"`
}

// SpanSet are spans that match together.
type SpanSet struct {
	Spans      []Span     `json:"spans"`
	Matched    int        `json:"matched"`
	Attributes []KeyValue `json:"attributes,omitempty"` // by() and figures
}

// Span is a span that matched, with the fields that the query speaks of.
type Span struct {
	SpanID     string     `json:"spanID"`
	Name       string     `json:"name,omitempty"`
	Start      uint64     `json:"startTimeUnixNano,string"`
	Duration   uint64     `json:"durationNanos,string"`
	Attributes []KeyValue `json:"attributes,omitempty"`
}

// KeyValue is an attribute.
type KeyValue struct {
	Key   string `json:"key"`
	Value Value  `json:"value"`
}

// Value is a value of one of the types; the others are nil.
type Value struct {
	String *string  `json:"stringValue,omitempty"`
	Int    *int64   `json:"intValue,string,omitempty"`
	Double *float64 `json:"doubleValue,omitempty"`
	Bool   *bool    `json:"boolValue,omitempty"`
}

// TagsResponse answers /api/search/tags.
type TagsResponse struct {
	Names   []string `json:"tagNames"`
	Metrics Metrics  `json:"metrics"`
}

// ScopesResponse answers /api/v2/search/tags.
type ScopesResponse struct {
	Scopes  []Scope `json:"scopes"`
	Metrics Metrics `json:"metrics"`
}

// Scope lists the names that are used in a scope.
type Scope struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

// ValuesResponse answers /api/search/tag/{tag}/values.
type ValuesResponse struct {
	Values  []string `json:"tagValues"`
	Metrics Metrics  `json:"metrics"`
}

// TypedValuesResponse answers /api/v2/search/tag/{tag}/values.
type TypedValuesResponse struct {
	Values  []TypedValue `json:"tagValues"`
	Metrics Metrics      `json:"metrics"`
}

// TypedValue is a value that a tag has. Type is string, int, float, bool or
// keyword, which is a word of the language.
type TypedValue struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// BuildInfo answers /api/status/buildinfo.
type BuildInfo struct {
	Version   string `json:"version"` // of Tempo, whose API this is
	Revision  string `json:"revision"`
	Branch    string `json:"branch"`
	BuildUser string `json:"buildUser"`
	BuildDate string `json:"buildDate"`
	GoVersion string `json:"goVersion"`
}
