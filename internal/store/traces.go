package store

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/otlpwire"
)

// Traces decodes spans for an answer. Spans of one origin stand together, in
// the order in which origins and spans come.
func Traces(spans []Span) (ptrace.Traces, error) {
	var origins [][]byte
	groups := map[string][][]byte{}
	for _, s := range spans {
		if _, seen := groups[string(s.Origin)]; !seen {
			origins = append(origins, s.Origin)
		}
		groups[string(s.Origin)] = append(groups[string(s.Origin)], s.Bytes)
	}
	var data []byte
	for _, o := range origins {
		var err error
		if data, err = otlpwire.AppendTraces(data, o, groups[string(o)]...); err != nil {
			return ptrace.Traces{}, fmt.Errorf("stored span: %w", err)
		}
	}
	var u ptrace.ProtoUnmarshaler
	td, err := u.UnmarshalTraces(data)
	if err != nil {
		return ptrace.Traces{}, fmt.Errorf("stored span: %w", err)
	}
	return td, nil
}
