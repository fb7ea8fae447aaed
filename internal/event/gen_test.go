package event

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	scopev1 "github.com/otelscope/otelscope/proto/scope/v1"
)

func genText(empty bool) *rapid.Generator[string] {
	least := 1
	if empty {
		least = 0
	}
	return rapid.OneOf(
		rapid.StringN(least, 12, -1),
		rapid.SampledFrom([]string{"<0.83.0>", "a/b%c", `quo"te\`, "line\nbreak", "\u2028", "ünï", "\U0001F600", "\x00"}),
	)
}

func genRef() *rapid.Generator[*Ref] {
	return rapid.Custom(func(t *rapid.T) *Ref {
		if rapid.Bool().Draw(t, "by message") {
			return &Ref{MessageID: genText(false).Draw(t, "message id")}
		}
		return &Ref{
			Service: genText(true).Draw(t, "service"), Node: genText(true).Draw(t, "node"),
			ID: genText(false).Draw(t, "id"),
		}
	})
}

func genValue(depth int) *rapid.Generator[Value] {
	forms := []*rapid.Generator[Value]{
		rapid.Just(Value{}),
		rapid.Custom(func(t *rapid.T) Value { return Value{Type: ValueString, Str: genText(true).Draw(t, "s")} }),
		rapid.Custom(func(t *rapid.T) Value { return Value{Type: ValueBool, Bool: rapid.Bool().Draw(t, "b")} }),
		rapid.Custom(func(t *rapid.T) Value { return Value{Type: ValueInt, Int: rapid.Int64().Draw(t, "i")} }),
		rapid.Custom(func(t *rapid.T) Value { return Value{Type: ValueDouble, Double: rapid.Float64().Draw(t, "d")} }),
	}
	if depth > 0 {
		forms = append(forms,
			rapid.Custom(func(t *rapid.T) Value {
				return Value{Type: ValueArray, Array: nilIfEmpty(rapid.SliceOfN(genValue(depth-1), 0, 4).Draw(t, "a"))}
			}),
			rapid.Custom(func(t *rapid.T) Value { return Value{Type: ValueMap, Map: genPairs(depth-1).Draw(t, "m")} }))
	}
	return rapid.OneOf(forms...)
}

func nilIfEmpty[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}

func genPairs(depth int) *rapid.Generator[[]KeyValue] {
	return rapid.Custom(func(t *rapid.T) []KeyValue {
		names := rapid.SliceOfNDistinct(genText(true), 0, 30, rapid.ID[string]).Draw(t, "keys")
		var pairs []KeyValue
		for _, name := range names {
			pairs = append(pairs, KeyValue{Key: name, Value: genValue(depth).Draw(t, "value")})
		}
		return pairs
	})
}

func genHex(t *rapid.T, into []byte, label string) {
	if rapid.Bool().Draw(t, label+" given") {
		copy(into, rapid.SliceOfN(rapid.Byte(), len(into), len(into)).Draw(t, label))
		into[0] |= 1
	}
}

// genEvent makes valid events that all three formats can say.
func genEvent() *rapid.Generator[Event] {
	return rapid.Custom(func(t *rapid.T) Event {
		e := Event{
			Kind:     Kind(rapid.IntRange(int(KindCall), int(KindMark)).Draw(t, "kind")),
			Time:     rapid.Int64Range(1, 1<<63-1).Draw(t, "time"),
			ID:       genText(false).Draw(t, "id"),
			Arrived:  rapid.Bool().Draw(t, "arrived"),
			Signal:   rapid.SampledFrom([]string{"", "exit", "down"}).Draw(t, "signal"),
			Outcome:  rapid.SampledFrom([]string{"", "error", "exception", "exit", "throw"}).Draw(t, "outcome"),
			Priority: Priority(rapid.IntRange(0, 2).Draw(t, "priority")),
			CauseType: rapid.SampledFrom([]string{
				"", "parent_child", "state_transition", "error_propagation", "process_spawn",
			}).Draw(t, "cause type"),
			Attributes: genPairs(2).Draw(t, "attributes"),
		}
		for _, f := range textFields {
			*e.text(f) = genText(f != fieldService && f != fieldProcess && !needed(e.Kind, f)).Draw(t, f.String())
		}
		for _, f := range []field{fieldTrigger, fieldRecovers, fieldCause} {
			if rapid.Bool().Draw(t, f.String()+" given") {
				*e.ref(f) = genRef().Draw(t, f.String())
			}
		}
		if e.HasVersion = rapid.Bool().Draw(t, "version given"); e.HasVersion {
			e.Version = rapid.Int64().Draw(t, "version")
		}
		if e.Kind == KindError || rapid.Bool().Draw(t, "error given") {
			e.Error = &Error{
				Type:    genText(e.Kind != KindError).Draw(t, "type"),
				Message: genText(true).Draw(t, "message"), Stacktrace: genText(true).Draw(t, "stacktrace"),
			}
		}
		genHex(t, e.TraceID[:], "trace id")
		genHex(t, e.SpanID[:], "span id")
		genHex(t, e.ParentSpanID[:], "parent span id")
		return e
	})
}

func needed(k Kind, f field) bool {
	switch f {
	case fieldName:
		return k == KindCall || k == KindMark || k == KindReturn
	case fieldChild:
		return k == KindSpawn
	case fieldTo:
		return k == KindState
	}
	return false
}

// ndjson, array and request encode events in the three formats.
func ndjson(events []Event) []byte {
	var b []byte
	for i := range events {
		b = append(events[i].AppendJSON(b), '\n')
	}
	return b
}

func array(events []Event) []byte {
	b := []byte{'['}
	for i := range events {
		if i > 0 {
			b = append(b, " ,\n"...)
		}
		b = events[i].AppendJSON(b)
	}
	return append(b, ']')
}

func request(t require.TestingT, events []Event) []byte {
	req := &scopev1.EventsRequest{}
	for i := range events {
		req.Events = append(req.Events, protoEvent(&events[i]))
	}
	b, err := proto.Marshal(req)
	require.NoError(t, err)
	return b
}

func protoEvent(e *Event) *scopev1.Event {
	p := &scopev1.Event{
		Id: e.ID, Kind: e.Kind.String(), TimeUnixNano: uint64(e.Time),
		Service: e.Service, Node: e.Node, Process: e.Process, Name: e.Name,
		CallId: e.CallID, MessageId: e.MessageID, MessageHash: e.MessageHash,
		Peer: e.Peer, PeerNode: e.PeerNode, PeerService: e.PeerService,
		Attributes: protoPairs(e.Attributes), Signal: e.Signal, Child: e.Child, Entity: e.Entity,
		From: e.From, To: e.To, Outcome: e.Outcome,
		Trigger: protoRef(e.Trigger), Recovers: protoRef(e.Recovers), Cause: protoRef(e.Cause),
		CauseType: e.CauseType, CorrelationId: e.CorrelationID, Priority: e.Priority.String(),
		TraceId: someBytes(e.TraceID[:]), SpanId: someBytes(e.SpanID[:]), ParentSpanId: someBytes(e.ParentSpanID[:]),
	}
	if e.Arrived {
		p.Phase = "arrived"
	}
	if e.HasVersion {
		p.Version = proto.Int64(e.Version)
	}
	if e.Error != nil {
		p.Error = &scopev1.Error{Type: e.Error.Type, Message: e.Error.Message, Stacktrace: e.Error.Stacktrace}
	}
	return p
}

func someBytes(b []byte) []byte {
	if allZero(b) {
		return nil
	}
	return b
}

func protoRef(r *Ref) *scopev1.Reference {
	if r == nil {
		return nil
	}
	return &scopev1.Reference{Service: r.Service, Node: r.Node, Id: r.ID, MessageId: r.MessageID}
}

func protoPairs(pairs []KeyValue) []*scopev1.KeyValue {
	var list []*scopev1.KeyValue
	for i := range pairs {
		list = append(list, &scopev1.KeyValue{Key: pairs[i].Key, Value: protoValue(&pairs[i].Value)})
	}
	return list
}

func protoValue(v *Value) *scopev1.AnyValue {
	switch v.Type {
	case ValueString:
		return &scopev1.AnyValue{Value: &scopev1.AnyValue_StringValue{StringValue: v.Str}}
	case ValueBytes:
		return &scopev1.AnyValue{Value: &scopev1.AnyValue_BytesValue{BytesValue: []byte(v.Str)}}
	case ValueBool:
		return &scopev1.AnyValue{Value: &scopev1.AnyValue_BoolValue{BoolValue: v.Bool}}
	case ValueInt:
		return &scopev1.AnyValue{Value: &scopev1.AnyValue_IntValue{IntValue: v.Int}}
	case ValueDouble:
		return &scopev1.AnyValue{Value: &scopev1.AnyValue_DoubleValue{DoubleValue: v.Double}}
	case ValueArray:
		list := &scopev1.ArrayValue{}
		for i := range v.Array {
			list.Values = append(list.Values, protoValue(&v.Array[i]))
		}
		return &scopev1.AnyValue{Value: &scopev1.AnyValue_ArrayValue{ArrayValue: list}}
	case ValueMap:
		return &scopev1.AnyValue{Value: &scopev1.AnyValue_KvlistValue{
			KvlistValue: &scopev1.KeyValueList{Values: protoPairs(v.Map)},
		}}
	}
	return nil
}

func mustHex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}
