package assemble

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"unsafe"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/event"
)

// Between transactions nothing of a request's body is held: one open call
// would keep all of it.
func TestNothingAliasesTheEvents(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 400)
	used := 0
	text := func() string {
		used += 3
		return body[used-3 : used]
	}
	ref := func() *event.Ref {
		return &event.Ref{Service: text(), Node: text(), ID: text(), MessageID: text()}
	}
	value := func() event.Value { return event.Value{Type: event.ValueString, Str: text()} }
	ev := func(kind event.Kind) *event.Event {
		return &event.Event{
			Kind: kind, ID: text(), Service: "abc", Node: "abc", Process: body[:3], Name: text(), CallID: text(),
			MessageID: text(), MessageHash: text(), Peer: text(), PeerNode: text(), PeerService: text(), Signal: text(),
			Child: text(), Entity: text(), From: text(), To: text(), Outcome: text(), CauseType: text(), CorrelationID: text(),
			Error:   &event.Error{Type: text(), Message: text(), Stacktrace: text()},
			Trigger: ref(), Recovers: ref(), Cause: ref(),
			Attributes: []event.KeyValue{
				{Key: text(), Value: value()},
				{Key: text(), Value: event.Value{Type: event.ValueArray, Array: []event.Value{value()}}},
				{Key: text(), Value: event.Value{Type: event.ValueMap, Map: []event.KeyValue{{Key: text(), Value: value()}}}},
			},
		}
	}
	inherits := ev(event.KindCall)
	inherits.CorrelationID = ""
	cfg := testConfig()
	cfg.StackDepth, cfg.OpenCalls = 3, 4
	s := newStage(cfg)
	s.run(ev(event.KindReceive), ev(event.KindCall), ev(event.KindReturn), ev(event.KindReturn), ev(event.KindReturn), ev(event.KindMark))
	s.attempt(ev(event.KindReturn), ev(event.KindReturn), ev(event.KindCall), ev(event.KindCall))
	s.Rollback()
	s.attempt(ev(event.KindExit), ev(event.KindReturn), ev(event.KindCall))
	s.Rollback()
	s.run(ev(event.KindReturn), ev(event.KindReturn), ev(event.KindCall), ev(event.KindCall), ev(event.KindReturn), inherits)
	require.NotZero(t, s.Stats().OpenCalls)
	require.NotZero(t, s.Stats().WaitingReturns)

	low := uintptr(unsafe.Pointer(unsafe.StringData(body)))
	held := 0
	eachString(reflect.ValueOf(s.Assembler), map[uintptr]bool{}, "", func(path, text string) {
		held++
		at := uintptr(unsafe.Pointer(unsafe.StringData(text)))
		require.False(t, at >= low && at < low+uintptr(len(body)), "%s holds %q", path, text)
	})
	require.Greater(t, held, 80)

	copied := retain(inherits, s.busy.first)
	require.Equal(t, *inherits, *copied)
}

// eachString calls f with every non-empty string that v leads to.
func eachString(v reflect.Value, seen map[uintptr]bool, path string, f func(path, text string)) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] {
			return
		}
		seen[v.Pointer()] = true
		eachString(v.Elem(), seen, path, f)
	case reflect.Interface:
		if !v.IsNil() {
			eachString(v.Elem(), seen, path, f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			eachString(v.Field(i), seen, path+"."+v.Type().Field(i).Name, f)
		}
	case reflect.Slice:
		// What stands beyond the length is held as well.
		v = v.Slice(0, v.Cap())
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			eachString(v.Index(i), seen, fmt.Sprintf("%s[%d]", path, i), f)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			eachString(key, seen, path+"[key]", f)
			eachString(v.MapIndex(key), seen, path+"[]", f)
		}
	case reflect.String:
		if v.Len() > 0 {
			f(path, v.String())
		}
	}
}

// Nor are events held that a transaction gave up: closed, evicted or rolled
// back.
func TestNoEventIsHeld(t *testing.T) {
	cfg := testConfig()
	cfg.StackDepth, cfg.OpenCalls = 3, 4
	for name, lines := range map[string][]string{
		"closed":   {"call p f id=1 @1", "call p g id=2 @2", "call p h id=3 @3", "return p f id=4 @4", "call p f id=5 @5"},
		"evicted":  {"return p f id=1 @1 call=A", "return p f id=2 @2 call=B", "return p f id=3 @3 call=C", "return p f id=4 @4 call=D", "return p f id=5 @5 call=E"},
		"too deep": {"call p f id=1 @1", "call p f id=2 @2", "call p f id=3 @3", "call p f id=4 @4", "call p f id=5 @5"},
		"exited":   {"call p f id=1 @1", "return p f id=2 @2 call=A", "exit p id=3 @3"},
	} {
		for _, end := range []string{"commit", "rollback"} {
			t.Run(name+", "+end, func(t *testing.T) {
				s := newStage(cfg)
				s.run(parse(t, "call p x id=10 @1", "return p f id=11 @1 call=X", "return p f id=12 @1 call=Y", "return p f id=13 @1 call=Z")...)
				held := s.passOn(parse(t, lines...), end)
				runtime.GC()
				for i, ev := range held {
					require.Nil(t, ev.Value(), lines[i])
				}
				runtime.KeepAlive(s)
			})
		}
	}
}

func (s *stage) passOn(events []*event.Event, end string) (held []weak.Pointer[event.Event]) {
	for _, ev := range events {
		held = append(held, weak.Make(ev))
	}
	s.attempt(events...)
	if end == "commit" {
		s.Commit()
	} else {
		s.Rollback()
	}
	return held
}
