package query

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/otelscope/otelscope/internal/traceql"
)

// bunch is a spanset on its way through a pipeline; its spans are ordered by
// start, then by ids.
type bunch struct {
	records []*Record
	by      []GroupValue
	figures []Figure
}

// through returns what the stages make of a spanset that is not empty.
func (p *pipe) through(b bunch) []bunch {
	bunches := []bunch{b}
	for _, stage := range p.stages {
		switch s := stage.(type) {
		case *traceql.Filter:
			bunches = filtered(bunches, p.predicates[s])
		case *traceql.AggregateFilter:
			bunches = figured(bunches, s)
		case *traceql.By:
			bunches = split(bunches, s)
		}
	}
	return bunches
}

func filtered(bunches []bunch, p predicate) []bunch {
	for i := range bunches {
		b := &bunches[i]
		b.records = slices.DeleteFunc(b.records, func(r *Record) bool { return !p.holds(r) })
	}
	return slices.DeleteFunc(bunches, func(b bunch) bool { return len(b.records) == 0 })
}

// figured keeps the spansets of which a comparison is true.
func figured(bunches []bunch, s *traceql.AggregateFilter) []bunch {
	right := valueOfLiteral(s.Right)
	kept := bunches[:0]
	for _, b := range bunches {
		figure, ok := aggregate(s.Aggregate, b.records)
		if ok && holds(s.Op, figure, right.float()) {
			b.figures = append(slices.Clip(b.figures), Figure{s.Aggregate, figure})
			kept = append(kept, b)
		}
	}
	return kept
}

// aggregate returns a figure of spans; ok is false if it has no value.
func aggregate(a traceql.Aggregate, records []*Record) (_ float64, ok bool) {
	if a.Fn == traceql.Count {
		return float64(len(records)), true
	}
	f := fieldOf(a.Arg)
	n, sum, least, most := 0, 0.0, math.Inf(1), math.Inf(-1)
	for _, r := range records {
		v := r.first(&f, 0)
		if !v.number() {
			continue
		}
		n++
		sum += v.float()
		least, most = min(least, v.float()), max(most, v.float())
	}
	switch a.Fn {
	case traceql.Avg:
		return sum / float64(n), n > 0
	case traceql.Min:
		return least, n > 0
	case traceql.Max:
		return most, n > 0
	}
	return sum, n > 0
}

// split makes of each spanset one for each combination of the fields' values.
func split(bunches []bunch, s *traceql.By) []bunch {
	fields := make([]field, len(s.Fields))
	for i, f := range s.Fields {
		fields[i] = fieldOf(f)
	}
	var out []bunch
	for _, b := range bunches {
		places := map[string]int{}
		var key []byte
		for _, r := range b.records {
			key = key[:0]
			for _, f := range fields {
				key = r.first(&f, 0).appendKey(key)
			}
			at, found := places[string(key)]
			if !found {
				at = len(out)
				places[string(key)] = at
				part := bunch{by: slices.Clip(b.by), figures: b.figures}
				for i, f := range fields {
					part.by = append(part.by, GroupValue{s.Fields[i], r.first(&f, 0).any()})
				}
				out = append(out, part)
			}
			out[at].records = append(out[at].records, r)
		}
	}
	return out
}

// appendKey appends what differs for values that differ; what is opaque is
// like nothing.
func (v value) appendKey(b []byte) []byte {
	kind := v.kind
	if kind == opaqueValue {
		kind = nothing
	}
	b = append(b, byte(kind))
	b = binary.BigEndian.AppendUint64(b, uint64(v.int))
	b = binary.BigEndian.AppendUint64(b, math.Float64bits(v.real))
	b = binary.AppendUvarint(b, uint64(len(v.text)))
	return append(b, v.text...)
}
