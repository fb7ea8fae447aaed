package main

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/otelscope/otelscope/internal/loadgen"
)

// content is what the requests of spans hold in the way of things to search
// for: every request of a template has the same.
type content struct {
	failures []failure
	notFound []string // http.route of SERVER spans that answered 404
}

// failure is a span with status error.
type failure struct {
	service, name string
	root          string // service of its trace's root, "" where it is the root
}

// contentOf reads one request of each template.
func contentOf(templates []*loadgen.SpanTemplate) (c content, err error) {
	for _, t := range templates {
		decoded := ptraceotlp.NewExportRequest()
		if err := decoded.UnmarshalProto(t.Clone().Fill(0, 0)); err != nil {
			return c, err
		}
		c.add(decoded.Traces())
	}
	nested := slices.ContainsFunc(c.failures, func(f failure) bool { return f.root != "" })
	if !nested || len(c.notFound) == 0 {
		return c, fmt.Errorf("the load has no failure below a root, or no route with 404: another seed has both")
	}
	return c, nil
}

func (c *content) add(td ptrace.Traces) {
	roots := map[pcommon.TraceID]string{}
	each(td, func(service string, s ptrace.Span) {
		if s.ParentSpanID().IsEmpty() && s.Kind() == ptrace.SpanKindServer {
			roots[s.TraceID()] = service
		}
	})
	each(td, func(service string, s ptrace.Span) {
		if s.Status().Code() == ptrace.StatusCodeError {
			f := failure{service: service, name: s.Name()}
			if !s.ParentSpanID().IsEmpty() {
				f.root = roots[s.TraceID()]
			}
			c.failures = append(c.failures, f)
		}
		status, found := s.Attributes().Get("http.response.status_code")
		if found && status.Int() == 404 && s.Kind() == ptrace.SpanKindServer {
			route, _ := s.Attributes().Get("http.route")
			c.notFound = append(c.notFound, route.Str())
		}
	})
}

func each(td ptrace.Traces, do func(service string, s ptrace.Span)) {
	for _, rs := range td.ResourceSpans().All() {
		service, _ := rs.Resource().Attributes().Get("service.name")
		for _, s := range rs.ScopeSpans().At(0).Spans().All() {
			do(service.Str(), s)
		}
	}
}

// failure returns a random one; below a SERVER root if nested.
func (c *content) failure(random *rand.Rand, nested bool) failure {
	for {
		f := c.failures[random.IntN(len(c.failures))]
		if !nested || f.root != "" {
			return f
		}
	}
}
