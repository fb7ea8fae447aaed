package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store"
)

// attrRescued is true on spans that were kept for another reason than chance.
const attrRescued = "scope.sampling.rescued"

// found is a stored span, as far as it matters here.
type found struct {
	number  uint64
	trace   [16]byte
	span    [8]byte
	kind    int32
	p       float64 // the probability with which it was kept; 1 where it says nothing
	rescued bool
	failed  bool
}

// weight is how many spans it stands for.
func (f *found) weight() float64 {
	if f.rescued {
		return 0
	}
	return 1 / f.p
}

// errForeign says that a stored span is none of this program's.
var errForeign = errors.New("a stored span does not say which one it is")

// stored yields all spans of a store but open calls, some of them more than
// once.
func stored(ctx context.Context, s store.Store) iter.Seq2[found, error] {
	return func(yield func(found, error) bool) {
		var view otlpwire.Span
		for span, err := range s.Scan(ctx, store.ScanOptions{}) {
			if err == nil {
				err = view.Parse(span.Bytes)
			}
			if err != nil {
				yield(found{}, err)
				return
			}
			if state, ok := otlpwire.Find(view.Attributes, causal.AttrCallState); ok {
				if text, _ := state.Str(); string(text) == causal.CallOpen {
					continue
				}
			}
			f, err := look(&view)
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

func look(s *otlpwire.Span) (found, error) {
	f := found{trace: s.TraceID, span: s.SpanID, kind: s.Kind, failed: s.StatusCode == 2}
	f.number = binary.BigEndian.Uint64(s.SpanID[:])
	if id, ok := otlpwire.Find(s.Attributes, causal.AttrEventID); ok {
		text, _ := id.Str()
		n, err := strconv.ParseUint(string(text), 16, 64)
		if err != nil {
			return f, fmt.Errorf("%w: event id %q", errForeign, text)
		}
		f.number = n
	}
	if v, ok := otlpwire.Find(s.Attributes, attrRescued); ok {
		f.rescued, _ = v.Bool()
	}
	var err error
	f.p, err = probability(string(s.TraceState))
	return f, err
}

// probability reads th in the ot member of a tracestate: up to 14 hex digits,
// the first of 56 bits of a threshold below which spans were sampled out.
func probability(state string) (float64, error) {
	for member := range strings.SplitSeq(state, ",") {
		fields, ok := strings.CutPrefix(strings.TrimSpace(member), "ot=")
		if !ok {
			continue
		}
		for field := range strings.SplitSeq(fields, ";") {
			digits, ok := strings.CutPrefix(field, "th:")
			if !ok {
				continue
			}
			if len(digits) < 1 || len(digits) > 14 {
				return 1, fmt.Errorf("tracestate %q: th is not 1 to 14 digits", state)
			}
			th, err := strconv.ParseUint(digits+strings.Repeat("0", 14-len(digits)), 16, 64)
			if err != nil {
				return 1, fmt.Errorf("tracestate %q: %w", state, err)
			}
			return math.Ldexp(float64(1<<56-th), -56), nil
		}
	}
	return 1, nil
}
