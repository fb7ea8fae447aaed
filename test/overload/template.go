package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/otelscope/otelscope/internal/event"
)

// content is what the requests of a lane are made of.
type content struct {
	lane     int
	native   bool
	service  string
	chains   int // a group, of which a request carries five hops
	lag      int // requests between a group's hops
	priority event.Priority
	seed     uint64
	// rehearsal lanes are not part of what is judged, but for losses.
	rehearsal bool
}

func (c content) spans() int { return c.chains * chainSpans(c.native) }
func (c content) items() int { return c.chains * chainItems(c.native) }

// template is an encoded request whose ids, times and outcomes are overwritten
// in place. It belongs to one sender at a time.
type template struct {
	content
	body    []byte
	slots   []slot
	senders []int // where the sender's number stands, 8 digits
}

type slot struct {
	at      int
	kind    byte
	carried int    // hop
	base    uint64 // the place's number without its group; microseconds before now for times
}

// Marks stand in a template's source where slots will be, as wide as what goes
// there. They begin with markLead, which is no UTF-8, then the kind, and end
// with markEnd; what a kind is wider than markSize is markLead again.
const (
	markLead = 0xfe
	markEnd  = 0xef
	markSize = 8
)

const (
	slotTrace   = 'T' // 16 raw bytes
	slotSpan    = 'S' // 8 raw bytes
	slotNanos   = 'B' // 8 bytes, little endian
	slotHex     = 'X' // 16 hex digits
	slotDecimal = 'D' // 19 digits
	slotOutcome = 'O' // "normal" or "error", quotes included
	slotStatus  = 'E' // 8 bytes of an OTLP status message; the code stands codeBefore bytes earlier
	slotSender  = 'P' // 8 digits
)

// codeBefore is how far before a status message the status code stands: the
// message's own tag and length lie between.
const codeBefore = 3

var slotWidth = map[byte]int{slotTrace: 16, slotSpan: 8, slotNanos: 8, slotHex: 16, slotDecimal: 19, slotOutcome: 8, slotStatus: 8, slotSender: 8}

// mark stands for p's number, or something that depends on it, in the request
// that carries hop carried of p's group.
func mark(kind byte, carried int, p place) []byte {
	b := bytes.Repeat([]byte{markLead}, slotWidth[kind])
	copy(b, []byte{markLead, kind, byte(carried), byte(p.chain >> 8), byte(p.chain), byte(p.hop<<4 | p.role), markEnd, markEnd})
	return b
}

func timeMark(kind byte, before int) []byte {
	b := bytes.Repeat([]byte{markLead}, slotWidth[kind])
	copy(b, []byte{markLead, kind, 0, byte(before >> 16), byte(before >> 8), byte(before), markEnd, markEnd})
	return b
}

// newTemplate makes a lane's template. Senders have clones of it.
func newTemplate(c content) *template {
	t := &template{content: c}
	if c.native {
		t.body = nativeBody(c)
	} else {
		t.body = otlpBody(c)
	}
	for i := 0; i+markSize <= len(t.body); i++ {
		m := t.body[i:]
		if m[0] != markLead || m[6] != markEnd || m[7] != markEnd || slotWidth[m[1]] == 0 {
			continue
		}
		if m[1] == slotSender {
			t.senders = append(t.senders, i)
			i += markSize - 1
			continue
		}
		s := slot{at: i, kind: m[1], carried: int(m[2])}
		if s.kind == slotNanos || s.kind == slotDecimal {
			s.base = uint64(m[3])<<16 | uint64(m[4])<<8 | uint64(m[5])
		} else {
			s.base = place{lane: c.lane, chain: int(m[3])<<8 | int(m[4]), hop: int(m[5] >> 4), role: int(m[5] & 15)}.number()
		}
		t.slots = append(t.slots, s)
		i += slotWidth[s.kind] - 1
	}
	return t
}

// clone returns a template with a body of its own for one of the lane's senders.
// The native processes of senders differ, since a process must not have two
// requests in flight.
func (t *template) clone(sender int) *template {
	c := *t
	c.body = bytes.Clone(t.body)
	for _, at := range t.senders {
		copy(c.body[at:], fmt.Sprintf("%08d", sender))
	}
	return &c
}

// first is the number of a lane's first request: below it, groups would be
// below 0.
func (c content) first() uint64 { return uint64((hops - 1) * c.lag) }

// fill makes the template request n of its lane at now, nanoseconds since the
// epoch. It carries hop h of group n - h*lag. The bytes are the template's
// until the next fill.
func (t *template) fill(n uint64, now int64) []byte {
	var group [hops]uint64
	for h := range group {
		group[h] = (n - uint64(h*t.lag)) << groupShift
	}
	for i := range t.slots {
		s := &t.slots[i]
		b := t.body[s.at:]
		switch s.kind {
		case slotTrace:
			id := traceID(t.seed, s.base|group[s.carried])
			copy(b, id[:])
		case slotSpan:
			binary.BigEndian.PutUint64(b, s.base|group[s.carried])
		case slotNanos:
			binary.LittleEndian.PutUint64(b, uint64(now)-s.base*1000)
		case slotHex:
			putHex(b[:16], s.base|group[s.carried])
		case slotDecimal:
			putDecimal(b[:19], uint64(now)-s.base*1000)
		case slotOutcome:
			copy(b, `"normal"`)
			if fails(s.base | group[s.carried]) {
				copy(b, `"error" `)
			}
		case slotStatus:
			copy(b, "finished")
			t.body[s.at-codeBefore] = byte(ptrace.StatusCodeOk)
			if fails(s.base | group[s.carried]) {
				t.body[s.at-codeBefore] = byte(ptrace.StatusCodeError)
			}
		}
	}
	return t.body
}

func putHex(b []byte, v uint64) {
	for i := 15; i >= 0; i-- {
		b[i] = "0123456789abcdef"[v&15]
		v >>= 4
	}
}

func putDecimal(b []byte, v uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		q := v / 10
		b[i] = byte('0' + v - q*10)
		v = q
	}
}

// nativeBody writes the events of a process for each chain and hop: it takes
// the message of the hop before, and, inside a call, notes something and sends
// on.
func nativeBody(c content) []byte {
	var b bytes.Buffer
	for h := range hops {
		for k := range c.chains {
			at := 1000 * (hops - h)
			who := fmt.Sprintf(`"service":"%s","node":"%s@10.0.0.%d","process":"<%s.%d.%d>"`, c.service, c.service, c.lane, mark(slotSender, 0, place{}), h, k)
			if c.priority != event.PriorityNormal {
				who += `,"priority":"` + c.priority.String() + `"`
			}
			add := func(role int, kind string, fields ...string) {
				id := mark(slotHex, h, place{chain: k, hop: h, role: role})
				fmt.Fprintf(&b, `{"id":"%s","kind":"%s","time":%s,%s,%s}`+"\n", id, kind, timeMark(slotDecimal, at), who, strings.Join(fields, ","))
				at -= 100
			}
			message := func(hop int) string {
				return fmt.Sprintf(`"message_id":"%s"`, mark(slotHex, h, place{chain: k, hop: hop, role: nextRole}))
			}
			call := mark(slotHex, h, place{chain: k, hop: h, role: workRole})
			if h > 0 {
				add(enterRole, "receive", fmt.Sprintf(`"name":"step_%d"`, h), message(h-1), `"attributes":{"queue.length":4,"message.size":812}`)
			}
			add(workRole, "call", fmt.Sprintf(`"name":"%s:handle_%d"`, c.service, h), `"attributes":{"code.function.name":"handle","tenant":"eu-west","retry":false}`)
			add(noteRole, "mark", `"name":"cache.hit"`, `"attributes":{"cache.name":"prices","cache.size":18231}`)
			if h < hops-1 {
				add(nextRole, "send", fmt.Sprintf(`"name":"step_%d"`, h+1), message(h), `"attributes":{"message.size":812,"routing.key":"orders.eu"}`)
			}
			outcome := `"outcome":"normal"`
			if h == hops-1 {
				outcome = fmt.Sprintf(`"outcome":%s`, mark(slotOutcome, h, place{chain: k, hop: h, role: workRole}))
			}
			add(backRole, "return", fmt.Sprintf(`"call_id":"%s"`, call), outcome)
		}
	}
	return b.Bytes()
}

// otlpBody writes a trace for each chain and hop: a CONSUMER of the message of
// the hop before, a child, and a PRODUCER for the next hop.
func otlpBody(c content) []byte {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", c.service)
	rs.Resource().Attributes().PutStr("service.instance.id", c.service+"-7d9f8c6b5-0")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("io.opentelemetry." + c.service)
	for h := range hops {
		for k := range c.chains {
			for role := range roles {
				if hopRoles(false, h)&(1<<role) != 0 {
					otlpSpan(c, ss.Spans().AppendEmpty(), place{chain: k, hop: h, role: role})
				}
			}
		}
	}
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		panic(fmt.Sprintf("overload: its own spans do not encode: %v", err))
	}
	return body
}

func otlpSpan(c content, s ptrace.Span, p place) {
	s.SetTraceID(pcommon.TraceID(mark(slotTrace, p.hop, p)))
	s.SetSpanID(pcommon.SpanID(mark(slotSpan, p.hop, p)))
	if p.role != enterRole {
		s.SetParentSpanID(pcommon.SpanID(mark(slotSpan, p.hop, place{chain: p.chain, hop: p.hop, role: enterRole})))
	}
	start := 1000*(hops-p.hop) - 100*p.role
	s.SetStartTimestamp(pcommon.Timestamp(binary.LittleEndian.Uint64(timeMark(slotNanos, start))))
	s.SetEndTimestamp(pcommon.Timestamp(binary.LittleEndian.Uint64(timeMark(slotNanos, start-100))))
	s.SetFlags(0x101)
	attrs := s.Attributes()
	attrs.PutInt("thread.id", int64(p.chain%64))
	attrs.PutStr("app.tier", "batch")
	attrs.PutStr("app.region", "eu-west-1")
	if c.priority != event.PriorityNormal {
		attrs.PutStr("scope.priority", c.priority.String())
	}
	message := func(kind ptrace.SpanKind, operation string, hop int) {
		s.SetKind(kind)
		attrs.PutStr("messaging.system", "rabbitmq")
		attrs.PutStr("messaging.operation.type", operation)
		attrs.PutStr("messaging.destination.name", fmt.Sprintf("%s.step_%d", c.service, hop+1))
		attrs.PutStr("messaging.message.id", string(mark(slotHex, p.hop, place{chain: p.chain, hop: hop, role: nextRole})))
	}
	switch {
	case p.role == nextRole:
		s.SetName(fmt.Sprintf("%s send %d", c.service, p.hop))
		message(ptrace.SpanKindProducer, "send", p.hop)
	case p.role == enterRole && p.hop > 0:
		s.SetName(fmt.Sprintf("%s step %d", c.service, p.hop))
		message(ptrace.SpanKindConsumer, "process", p.hop-1)
	case p.role == enterRole:
		s.SetName(c.service + " begin")
		s.SetKind(ptrace.SpanKindServer)
		attrs.PutStr("http.request.method", "POST")
		attrs.PutStr("http.route", "/"+c.service+"/{id}")
	default:
		s.SetName(fmt.Sprintf("%s handle %d", c.service, p.hop))
		s.SetKind(ptrace.SpanKindInternal)
		attrs.PutStr("code.function.name", "handle")
		attrs.PutInt("app.rows", 42)
		if p.hop == hops-1 {
			s.Status().SetMessage(string(mark(slotStatus, p.hop, p)))
			s.Status().SetCode(ptrace.StatusCodeOk)
		}
	}
}
