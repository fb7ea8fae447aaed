// Package jaegerapi speaks Jaeger's query API over HTTP, in the shapes that
// Jaeger's UI and Grafana's Jaeger data source read: it makes queries of their
// parameters, and their JSON of OTLP. docs/tools.md says what is supported.
package jaegerapi

import "encoding/json"

// Response is the envelope of every answer of the older API. Total counts
// lists of names.
type Response struct {
	Data   any     `json:"data"`
	Total  int     `json:"total"`
	Limit  int     `json:"limit"`
	Offset int     `json:"offset"`
	Errors []Error `json:"errors"`
}

// Error is a failure, or what could not be had of an answer.
type Error struct {
	Code    int    `json:"code,omitempty"` // the HTTP status
	Message string `json:"msg"`
	TraceID string `json:"traceID,omitempty"`
}

// Trace is a trace as the UI shows it.
type Trace struct {
	TraceID   string             `json:"traceID"` // 32 hex digits
	Spans     []Span             `json:"spans"`
	Processes map[string]Process `json:"processes"` // by Span.ProcessID
	Warnings  []string           `json:"warnings"`
}

// Span is a span. Times are in microseconds.
type Span struct {
	TraceID    string      `json:"traceID"`
	SpanID     string      `json:"spanID"`
	Flags      uint32      `json:"flags"`
	Operation  string      `json:"operationName"`
	References []Reference `json:"references"` // the parent first
	Start      uint64      `json:"startTime"`
	Duration   uint64      `json:"duration"`
	Tags       []KeyValue  `json:"tags"`
	Logs       []Log       `json:"logs"`
	ProcessID  string      `json:"processID"`
	Warnings   []string    `json:"warnings"`
}

// Reference leads from a span to another.
type Reference struct {
	Type    string `json:"refType"` // childOf or followsFrom
	TraceID string `json:"traceID"`
	SpanID  string `json:"spanID"`
}

const (
	childOf     = "CHILD_OF"
	followsFrom = "FOLLOWS_FROM"
)

// Process is what a resource is to Jaeger.
type Process struct {
	Service string     `json:"serviceName"`
	Tags    []KeyValue `json:"tags"`
}

// Log is an event of a span.
type Log struct {
	Timestamp uint64     `json:"timestamp"`
	Fields    []KeyValue `json:"fields"`
}

// KeyValue is a tag. Type says how Value is meant: string, bool, int64,
// float64 or binary.
type KeyValue struct {
	Key   string `json:"key"`
	Type  string `json:"type"`
	Value any    `json:"value"`
}

// Operation is a name that spans of a service have.
type Operation struct {
	Name string `json:"name"`
	Kind string `json:"spanKind"` // lower case
}

// Dependency counts how often a service led to work of another.
type Dependency struct {
	Parent string `json:"parent"`
	Child  string `json:"child"`
	Calls  uint64 `json:"callCount"`
}

// The answers of the API v3.
type (
	// Services answers /api/v3/services.
	Services struct {
		Services []string `json:"services"`
	}
	// Operations answers /api/v3/operations.
	Operations struct {
		Operations []Operation `json:"operations"`
	}
	// Dependencies answers /api/v3/dependencies.
	Dependencies struct {
		Dependencies []DependencyV3 `json:"dependencies"`
	}
	// DependencyV3 is a Dependency whose count is text, as protobuf has it.
	DependencyV3 struct {
		Parent string `json:"parent"`
		Child  string `json:"child"`
		Calls  uint64 `json:"callCount,string"`
	}
	// Result answers /api/v3/traces: OTLP JSON in a wrapping.
	Result struct {
		Result json.RawMessage `json:"result"`
	}
	// Summaries answers /api/v3/trace-summaries.
	Summaries struct {
		Summaries []Summary `json:"summaries"`
	}
	// Summary is a trace in short. Times are in nanoseconds.
	Summary struct {
		TraceID       string           `json:"traceId"`
		RootService   string           `json:"rootServiceName"`
		RootOperation string           `json:"rootOperationName"`
		Start         uint64           `json:"minStartTimeUnixNano,string"`
		End           uint64           `json:"maxEndTimeUnixNano,string"`
		Spans         int              `json:"spanCount"`
		Errors        int              `json:"errorSpanCount"`
		Orphans       int              `json:"orphanSpanCount"` // whose parent is not there
		Services      []ServiceSummary `json:"services"`
	}
	// ServiceSummary is a service's part of a trace.
	ServiceSummary struct {
		Name   string `json:"name"`
		Spans  int    `json:"spanCount"`
		Errors int    `json:"errorSpanCount"`
	}
	// ErrorV3 is a failure.
	ErrorV3 struct {
		Error ErrorDetails `json:"error"`
	}
	// ErrorDetails say what failed.
	ErrorDetails struct {
		Code    int    `json:"httpCode"`
		Message string `json:"message"`
	}
)
