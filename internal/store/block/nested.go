package block

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
)

// event is a view of one encoded Span.Event.
type event struct {
	time       uint64
	name       []byte
	attributes []otlpwire.Attr
}

func (e *event) parse(b []byte) error {
	*e = event{attributes: e.attributes[:0]}
	return eachField(b, func(num protowire.Number, data []byte, n uint64) error {
		switch num {
		case 1:
			e.time = n
		case 2:
			e.name = data
		case 3:
			var a otlpwire.Attr
			err := eachField(data, func(num protowire.Number, data []byte, _ uint64) error {
				switch num {
				case 1:
					a.Key = data
				case 2:
					a.Value = data
				}
				return nil
			})
			if err != nil {
				return err
			}
			e.attributes = append(e.attributes, a)
		}
		return nil
	})
}

// eachField calls f for the fields of a message: with data for those that have
// a length, with n for fixed 64-bit ones, with neither for others.
func eachField(b []byte, f func(num protowire.Number, data []byte, n uint64) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("span event: %w", protowire.ParseError(n))
		}
		b = b[n:]
		var data []byte
		var u uint64
		switch typ {
		case protowire.BytesType:
			data, n = protowire.ConsumeBytes(b)
		case protowire.Fixed64Type:
			u, n = protowire.ConsumeFixed64(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return fmt.Errorf("span event: %w", protowire.ParseError(n))
		}
		b = b[n:]
		if err := f(num, data, u); err != nil {
			return err
		}
	}
	return nil
}

// appendEvents appends the span's events as a JSON array.
func (s *shredder) appendEvents(dst []byte) ([]byte, error) {
	for i, b := range s.span.Events {
		if err := s.event.parse(b); err != nil {
			return nil, err
		}
		dst = append(dst, separator(i)...)
		dst = append(dst, `{"time_unix_nano":`...)
		dst = strconv.AppendUint(dst, s.event.time, 10)
		dst = append(dst, `,"name":`...)
		dst = otlpwire.AppendJSONString(dst, s.event.name)
		var err error
		if dst, err = appendAttributes(dst, s.event.attributes); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

// appendLinks appends the span's links as a JSON array, and notes the spans
// that they name.
func (s *shredder) appendLinks(dst []byte) ([]byte, error) {
	for i, b := range s.span.Links {
		if err := s.link.Parse(b); err != nil {
			return nil, err
		}
		ref := causal.SpanRef{TraceID: s.link.TraceID, SpanID: s.link.SpanID}
		s.keys.links = append(s.keys.links, ref)
		if role, _ := otlpwire.Find(s.link.Attributes, causal.AttrLinkRole); isText(role, causal.LinkRoleEffect) {
			s.keys.effects = append(s.keys.effects, ref)
		}
		dst = append(dst, separator(i)...)
		dst = append(dst, `{"trace_id":"`...)
		dst = hex.AppendEncode(dst, s.link.TraceID[:])
		dst = append(dst, `","span_id":"`...)
		dst = hex.AppendEncode(dst, s.link.SpanID[:])
		dst = append(dst, '"')
		if len(s.link.TraceState) > 0 {
			dst = append(dst, `,"trace_state":`...)
			dst = otlpwire.AppendJSONString(dst, s.link.TraceState)
		}
		var err error
		if dst, err = appendAttributes(dst, s.link.Attributes); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

// appendAttributes ends a JSON object with its attributes.
func appendAttributes(dst []byte, attrs []otlpwire.Attr) ([]byte, error) {
	dst, err := otlpwire.AppendAttrsJSON(append(dst, `,"attributes":`...), attrs)
	return append(dst, '}'), err
}

// separator stands before the i-th element of an array.
func separator(i int) string {
	if i == 0 {
		return "["
	}
	return ","
}
