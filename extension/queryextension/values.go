package queryextension

import (
	"time"

	"github.com/otelscope/otelscope/internal/traceql"
)

// plainJSON is the plain JSON of a field's value: as query.GroupValue has it,
// durations in nanoseconds.
func plainJSON(value any) any {
	switch v := value.(type) {
	case int64:
		return integerJSON(v)
	case float64:
		return doubleJSON(v)
	case time.Duration:
		return integerJSON(int64(v))
	case traceql.StatusValue:
		return v.String()
	case traceql.KindValue:
		return v.String()
	}
	return value // text, a bool, or nil
}
