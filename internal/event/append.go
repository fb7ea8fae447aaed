package event

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"strconv"

	"github.com/go-faster/jx"
)

// AppendJSON appends the event's canonical JSON, one object without line
// breaks: fields in the order of the documentation, those not given left out,
// time as a decimal string. Decoding it yields the event again, with two
// exceptions in attributes that came by protobuf: bytes become a base64 string,
// and a double that is not finite the string NaN, Infinity or -Infinity.
func (e *Event) AppendJSON(dst []byte) []byte {
	w := fieldWriter{jx.Writer{Buf: append(dst, '{')}}
	w.text(fieldID, e.ID)
	w.text(fieldKind, e.Kind.String())
	w.field(fieldTime)
	w.Buf = append(strconv.AppendInt(append(w.Buf, '"'), e.Time, 10), '"')
	for _, f := range textFields {
		w.text(f, *e.text(f))
	}
	if e.Arrived {
		w.text(fieldPhase, "arrived")
	}
	w.text(fieldSignal, e.Signal)
	if e.HasVersion {
		w.field(fieldVersion)
		w.Int64(e.Version)
	}
	w.text(fieldOutcome, e.Outcome)
	w.error(e.Error)
	w.ref(fieldTrigger, e.Trigger)
	w.ref(fieldRecovers, e.Recovers)
	w.ref(fieldCause, e.Cause)
	w.text(fieldCauseType, e.CauseType)
	w.hex(fieldTraceID, e.TraceID[:])
	w.hex(fieldSpanID, e.SpanID[:])
	w.hex(fieldParentSpanID, e.ParentSpanID[:])
	if e.Priority != PriorityNormal {
		w.text(fieldPriority, e.Priority.String())
	}
	if len(e.Attributes) > 0 {
		w.field(fieldAttributes)
		w.object(e.Attributes)
	}
	return append(w.Buf, '}')
}

var textFields = []field{
	fieldService, fieldNode, fieldProcess, fieldName, fieldCallID, fieldMessageID, fieldMessageHash,
	fieldPeer, fieldPeerNode, fieldPeerService, fieldChild, fieldEntity, fieldFrom, fieldTo, fieldCorrelationID,
}

type fieldWriter struct{ jx.Writer }

// name starts a member of an object. Only the first follows a brace.
func (w *fieldWriter) name(s string) {
	if w.Buf[len(w.Buf)-1] != '{' {
		w.Comma()
	}
	w.Str(s)
	w.RawStr(":")
}

func (w *fieldWriter) field(f field) { w.name(f.String()) }

func (w *fieldWriter) text(f field, s string) { w.member(f.String(), s) }

func (w *fieldWriter) member(name, s string) {
	if s != "" {
		w.name(name)
		w.Str(s)
	}
}

func (w *fieldWriter) hex(f field, id []byte) {
	if !allZero(id) {
		w.field(f)
		w.Str(hex.EncodeToString(id))
	}
}

func (w *fieldWriter) error(e *Error) {
	if e == nil {
		return
	}
	w.field(fieldError)
	w.ObjStart()
	w.member("type", e.Type)
	w.member("message", e.Message)
	w.member("stacktrace", e.Stacktrace)
	w.ObjEnd()
}

func (w *fieldWriter) ref(f field, r *Ref) {
	if r == nil {
		return
	}
	w.field(f)
	if r.Service == "" && r.Node == "" && r.MessageID == "" {
		w.Str(r.ID)
		return
	}
	w.ObjStart()
	w.member("service", r.Service)
	w.member("node", r.Node)
	w.member("id", r.ID)
	w.member("message_id", r.MessageID)
	w.ObjEnd()
}

func (w *fieldWriter) object(pairs []KeyValue) {
	w.ObjStart()
	for i := range pairs {
		w.name(pairs[i].Key)
		w.value(&pairs[i].Value)
	}
	w.ObjEnd()
}

func (w *fieldWriter) value(v *Value) {
	switch v.Type {
	case ValueEmpty:
		w.Null()
	case ValueString:
		w.Str(v.Str)
	case ValueBytes:
		w.Str(base64.StdEncoding.EncodeToString([]byte(v.Str)))
	case ValueBool:
		w.Bool(v.Bool)
	case ValueInt:
		w.Int64(v.Int)
	case ValueDouble:
		w.double(v.Double)
	case ValueArray:
		w.ArrStart()
		for i := range v.Array {
			if i > 0 {
				w.Comma()
			}
			w.value(&v.Array[i])
		}
		w.ArrEnd()
	case ValueMap:
		w.object(v.Map)
	}
}

// double keeps a whole number apart from an integer by its exponent.
func (w *fieldWriter) double(f float64) {
	switch {
	case math.IsNaN(f):
		w.Str("NaN")
	case math.IsInf(f, 1):
		w.Str("Infinity")
	case math.IsInf(f, -1):
		w.Str("-Infinity")
	case f == math.Trunc(f):
		w.Buf = strconv.AppendFloat(w.Buf, f, 'e', -1, 64)
	default:
		w.Buf = strconv.AppendFloat(w.Buf, f, 'g', -1, 64)
	}
}
