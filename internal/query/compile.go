package query

import (
	"encoding/hex"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/traceql"
)

// pipe is a compiled pipeline.
type pipe struct {
	source operand
	stages []traceql.Stage
	// of the stages, compiled: filters' predicates, and fields of by and
	// aggregates.
	predicates map[*traceql.Filter]predicate
	ofTrace    bool // a stage asks about whole traces
	path       bool
	fields     []traceql.FieldExpr // of select
}

// operand is a compiled spanset expression: *filter, *join, *caused or
// *nested. As an operand of another it stands for a set of spans.
type operand interface{ text() string }

// filter is a leaf.
type filter struct {
	source    *traceql.Filter
	predicate predicate
	ofTrace   bool // it needs the whole trace
	loose     predicate
	where     store.Condition
	// traces are the only ones where it may match, if oneOf is set.
	traces []pcommon.TraceID
	oneOf  bool
}

// join is an operator within traces.
type join struct {
	source      *traceql.SpansetOperation
	left, right operand
}

// caused is a causal operator.
type caused struct {
	source      *traceql.SpansetOperation
	left, right operand
	types       []causal.Type
	within      time.Duration
	direct      bool    // one edge only
	toLeft      side    // the way from right to left
	known       spanSet // nil: not computed
}

// nested is a pipeline in parentheses that is an operand.
type nested struct {
	source *traceql.Nested
	pipe   *pipe
	causal bool
	known  spanSet // nil: not computed
}

func (f *filter) text() string { return f.source.String() }
func (j *join) text() string   { return j.source.String() }
func (c *caused) text() string { return c.source.String() }
func (n *nested) text() string { return n.source.String() }

func compilePipe(p traceql.Pipeline) (*pipe, error) {
	if inner, ok := p.Source.(*traceql.Nested); ok {
		c, err := compilePipe(inner.Pipeline)
		if err != nil {
			return nil, err
		}
		return c, c.add(p.Stages)
	}
	source, err := compileOperand(p.Source)
	if err != nil {
		return nil, err
	}
	c := &pipe{source: source, predicates: map[*traceql.Filter]predicate{}}
	return c, c.add(p.Stages)
}

// add adds stages.
func (c *pipe) add(stages []traceql.Stage) error {
	for _, stage := range stages {
		switch s := stage.(type) {
		case *traceql.Filter:
			p, err := compile(s.Expr)
			if err != nil {
				return err
			}
			c.predicates[s] = p
			c.ofTrace = c.ofTrace || p.ofTrace()
		case *traceql.AggregateFilter:
			c.ofTrace = c.ofTrace || fieldOf(s.Aggregate.Arg).place == tracePlace
		case *traceql.By:
			for _, f := range s.Fields {
				c.ofTrace = c.ofTrace || fieldOf(f).place == tracePlace
			}
		case *traceql.Select:
			c.path = c.path || s.Path
			c.fields = append(c.fields, s.Fields...)
			continue
		}
		c.stages = append(c.stages, stage)
	}
	return nil
}

func compileOperand(expr traceql.SpansetExpr) (operand, error) {
	switch e := expr.(type) {
	case *traceql.Filter:
		return compileFilter(e)
	case *traceql.Nested:
		p, err := compilePipe(e.Pipeline)
		if err != nil {
			return nil, err
		}
		return &nested{source: e, pipe: p, causal: isCausal(p.source)}, nil
	case *traceql.SpansetOperation:
		left, err := compileOperand(e.Left)
		if err != nil {
			return nil, err
		}
		right, err := compileOperand(e.Right)
		if err != nil {
			return nil, err
		}
		if !e.Op.Causal() {
			return &join{e, left, right}, nil
		}
		return compileCaused(e, left, right)
	}
	return nil, &UnsupportedError{"the query has no filter"}
}

func compileFilter(e *traceql.Filter) (operand, error) {
	p, err := compile(e.Expr)
	if err != nil {
		return nil, err
	}
	f := &filter{source: e, predicate: p, ofTrace: p.ofTrace(), loose: p.loose()}
	f.where = conditionOf(f.loose)
	f.traces, f.oneOf = tracesOf(f.loose)
	return f, nil
}

func compileCaused(e *traceql.SpansetOperation, left, right operand) (operand, error) {
	c := &caused{source: e, left: left, right: right, within: e.Within, toLeft: sides[0]}
	c.direct = e.Op == traceql.OpCaused || e.Op == traceql.OpCausedBy
	if e.Op == traceql.OpCausedBy || e.Op == traceql.OpLedFrom {
		c.toLeft = sides[1]
	}
	for _, text := range e.Types {
		t, known := typeOf([]byte(text))
		if !known {
			return nil, &UnsupportedError{fmt.Sprintf("there is no type of edge %q; the types are %q", text, allTypes)}
		}
		c.types = append(c.types, t)
	}
	return c, nil
}

// isCausal reports whether a causal operator is in an operand.
func isCausal(o operand) bool {
	switch o := o.(type) {
	case *join:
		return isCausal(o.left) || isCausal(o.right)
	case *caused:
		return true
	case *nested:
		return o.causal
	}
	return false
}

// tracesOf returns the only traces where a predicate may be true; ok is false
// where it may be in any.
func tracesOf(p predicate) (ids []pcommon.TraceID, ok bool) {
	switch p := p.(type) {
	case conjoined:
		if ids, ok := tracesOf(p.left); ok {
			return ids, true
		}
		return tracesOf(p.right)
	case either:
		left, isLeft := tracesOf(p.left)
		right, isRight := tracesOf(p.right)
		return append(left, right...), isLeft && isRight
	case *compared:
		id, text := &p.left, &p.right
		if id.place == literalPlace {
			id, text = text, id
		}
		if p.op == traceql.Equal && id.place == intrinsicPlace && id.intrinsic == traceql.TraceID && text.place == literalPlace {
			return traceID(text.literal.text), true
		}
	}
	return nil, false
}

// traceID returns the trace that has the text as its id; none where no id is
// written so.
func traceID(text []byte) []pcommon.TraceID {
	var id pcommon.TraceID
	if len(text) != 2*len(id) {
		return nil
	}
	if _, err := hex.Decode(id[:], text); err != nil || id.String() != string(text) {
		return nil
	}
	return []pcommon.TraceID{id}
}
