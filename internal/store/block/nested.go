package block

import (
	"encoding/hex"
	"strconv"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store/field"
)

// appendEvents appends the span's events as a JSON array.
func (s *shredder) appendEvents(dst []byte) ([]byte, error) {
	for i, b := range s.span.Events {
		if err := s.event.Parse(b); err != nil {
			return nil, err
		}
		dst = append(dst, separator(i)...)
		dst = append(dst, `{"time_unix_nano":`...)
		dst = strconv.AppendUint(dst, s.event.Time, 10)
		dst = append(dst, `,"name":`...)
		dst = otlpwire.AppendJSONString(dst, s.event.Name)
		x := s.ids.attributes
		x.add(&x.eventName, field.Text(s.event.Name))
		for i := range s.event.Attributes {
			x.attribute(field.Event, &s.event.Attributes[i])
		}
		var err error
		if dst, err = appendAttributes(dst, s.event.Attributes); err != nil {
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
