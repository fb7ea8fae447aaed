package query

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/store"
)

// Summary says of a whole trace what lists of traces show.
type Summary struct {
	Root     store.Span // see root; empty where every span has a stored parent
	Start    uint64     // nanoseconds since the epoch
	End      uint64
	Spans    int
	Services map[string]ServiceSummary // by service.name
}

// ServiceSummary counts a trace's spans of one service.
type ServiceSummary struct{ Spans, Errors int }

// Summarize reads all spans of a trace. The root is the earliest span without
// a parent, else the earliest whose parent is not stored.
func Summarize(spans []store.Span) (Summary, error) {
	var reader Reader
	s := Summary{Spans: len(spans), Services: map[string]ServiceSummary{}}
	records := make([]*Record, len(spans))
	for i, span := range spans {
		records[i] = new(Record)
		if err := reader.readInto(records[i], span); err != nil {
			return Summary{}, err
		}
		r := &records[i].wire
		if i == 0 || r.Start < s.Start {
			s.Start = r.Start
		}
		s.End = max(s.End, r.End)
		service := string(attribute(records[i].origin.resource, serviceName).text)
		count := s.Services[service]
		count.Spans++
		if r.StatusCode == int32(ptrace.StatusCodeError) {
			count.Errors++
		}
		s.Services[service] = count
	}
	if root := rootOf(records); root != nil {
		s.Root = root.Span
	}
	return s, nil
}

const serviceName = "service.name"
