package assemble

import (
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// ScopeName is the instrumentation scope of all assembled spans.
const ScopeName = "github.com/otelscope/otelscope"

// Output collects spans, grouped by resource. It belongs to one goroutine.
// Strings of the spans are those of the events they came from.
type Output struct {
	version string
	traces  ptrace.Traces
	groups  map[origin]ptrace.SpanSlice
	last    origin
	spans   ptrace.SpanSlice // of last
	count   int
}

// origin is what a resource is made of.
type origin struct{ service, node string }

// NewOutput returns an empty Output whose scope bears version.
func NewOutput(version string) *Output {
	return &Output{version: version, traces: ptrace.NewTraces(), groups: make(map[origin]ptrace.SpanSlice)}
}

// Spans returns how many spans were collected since the last call of Traces.
func (o *Output) Spans() int { return o.count }

// Traces hands over what was collected: one ResourceSpans for each service and
// node, with one ScopeSpans each. The caller owns it; o begins anew, empty.
func (o *Output) Traces() ptrace.Traces {
	td := o.traces
	o.traces = ptrace.NewTraces()
	clear(o.groups)
	o.last, o.spans, o.count = origin{}, ptrace.SpanSlice{}, 0
	return td
}

// add returns a new, empty span of the resource.
func (o *Output) add(service, node string) ptrace.Span {
	if o.count == 0 || o.last.service != service || o.last.node != node {
		o.last = origin{service, node}
		o.spans = o.group(o.last)
	}
	o.count++
	return o.spans.AppendEmpty()
}

func (o *Output) group(at origin) ptrace.SpanSlice {
	if spans, ok := o.groups[at]; ok {
		return spans
	}
	rs := o.traces.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr(attrServiceName, at.service)
	if at.node != "" {
		rs.Resource().Attributes().PutStr(attrServiceInstanceID, at.node)
	}
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName(ScopeName)
	ss.Scope().SetVersion(o.version)
	o.groups[at] = ss.Spans()
	return ss.Spans()
}
