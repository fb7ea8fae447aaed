package query

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// dice draws numbers: rapid's, which shrink, or fast ones.
type dice func(n int) int

func rapidDice(t *rapid.T) dice {
	return func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }
}

func seededDice(seed uint64) dice { return rand.New(rand.NewPCG(seed, 1)).IntN }

func (d dice) chance(percent int) bool { return d(100) >= 100-percent }

func pickOne[T any](d dice, from ...T) T { return from[d(len(from))] }

// requests draws spans of a few traces: parents that are not stored, links
// that lead to nowhere and in circles, times that are equal, ids that are
// shared or empty, and spans that are sent again with other links.
func (d dice) requests() []ptrace.Traces {
	w := world{dice: d, traces: 1 + d(6), ids: 2 + d(5), links: 1 + d(3), times: 1 + d(30)}
	var out []ptrace.Traces
	for range 1 + d(32) {
		d := w
		td := d.request()
		out = append(out, td)
		if d.chance(10) {
			again := ptrace.NewTraces()
			td.CopyTo(again)
			span := again.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
			span.SetName("again")
			d.linksOf(span)
			out = append(out, again)
		}
	}
	return out
}

// world says how spans are drawn: in how many traces, with how many ids, how
// many links they have, and how many times there are when they began.
type world struct {
	dice
	traces, ids, links, times int
}

func (d world) request() ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	if d.chance(80) {
		rs.Resource().Attributes().PutStr("service.name", pickOne(d.dice, "s", "t"))
	}
	d.attribute(rs.Resource().Attributes())
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName(pickOne(d.dice, "", "lib"))
	ss.Scope().SetVersion(pickOne(d.dice, "", "1"))
	d.attribute(ss.Scope().Attributes())
	span := ss.Spans().AppendEmpty()
	r := d.ref()
	span.SetTraceID(r.TraceID)
	span.SetSpanID(r.SpanID)
	if d.chance(3) {
		span.SetTraceID(pcommon.TraceID{})
	}
	if d.chance(60) {
		span.SetParentSpanID(d.ref().SpanID)
	}
	span.SetName(pickOne(d.dice, "p", "q", "pq", ""))
	span.SetKind(ptrace.SpanKind(1 + d.dice(5)))
	start := 10 + d.dice(d.times)
	span.SetStartTimestamp(pcommon.Timestamp(start))
	span.SetEndTimestamp(pcommon.Timestamp(start + d.dice(8) - 1))
	span.Status().SetCode(ptrace.StatusCode(d.dice(3)))
	span.Status().SetMessage(pickOne(d.dice, "", "bad"))
	for range d.dice(3) {
		d.attribute(span.Attributes())
	}
	for range d.dice(2) {
		e := span.Events().AppendEmpty()
		e.SetName(pickOne(d.dice, "p", "q"))
		e.SetTimestamp(pcommon.Timestamp(8 + d.dice(10)))
		d.attribute(e.Attributes())
	}
	d.linksOf(span)
	return td
}

func (d world) ref() causal.SpanRef {
	return storetest.Ref(uint64(1+d.dice(d.traces)), uint64(1+d.dice(d.ids)))
}

func (d dice) attribute(m pcommon.Map) {
	if d.chance(30) {
		return
	}
	key := pickOne(d, "a", "b")
	switch d(8) {
	case 0, 1:
		m.PutStr(key, pickOne(d, "p", "q", "pq"))
	case 2, 3:
		m.PutInt(key, int64(d(4)-1))
	case 4, 5:
		m.PutDouble(key, pickOne(d, 1, 0.5, 0, -1))
	case 6:
		m.PutBool(key, d.chance(50))
	case 7:
		if d.chance(50) {
			m.PutEmptySlice(key).AppendEmpty().SetStr("p")
		} else {
			m.PutEmpty(key)
		}
	}
}

func (d world) linksOf(span ptrace.Span) {
	for range d.dice(d.links) {
		r := d.ref()
		l := span.Links().AppendEmpty()
		l.SetTraceID(r.TraceID)
		l.SetSpanID(r.SpanID)
		if d.chance(70) {
			l.Attributes().PutStr(causal.AttrLinkType, string(pickOne(d.dice, causal.Types...)))
			l.Attributes().PutStr(causal.AttrLinkRule, "rule")
			l.Attributes().PutDouble(causal.AttrLinkConfidence, pickOne(d.dice, 0.5, 0.9, 1))
		}
		if d.chance(40) {
			l.Attributes().PutStr(causal.AttrLinkRole, causal.LinkRoleEffect)
		}
		d.attribute(l.Attributes())
	}
}

// query draws the text of a query.
func (d dice) query() string {
	text := d.spansets(1 + d(3))
	for range d(3) {
		text += " | " + d.stage()
	}
	return text
}

func (d dice) spansets(depth int) string {
	if depth == 0 || d.chance(40) {
		return "{ " + d.condition(2) + " }"
	}
	op := pickOne(d, "&&", "||", ">", "<", ">>", "<<", "~", "->", "->>", "<-", "<<-", "->", "->>", "<-", "<<-")
	within := ""
	if strings.HasPrefix(op, "-") || op == "<-" || op == "<<-" {
		switch d(4) {
		case 0:
			op += "[" + pickOne(d, "parent_child", "message_flow,process_spawn", "other", "error_propagation,other") + "]"
		case 1:
			within = fmt.Sprintf(" within %dns", 1+d(8))
		}
	}
	side := func() string {
		text := "(" + d.spansets(depth-1)
		if d.chance(15) {
			text += " | " + d.stage()
		}
		return text + ")"
	}
	return side() + " " + op + " " + side() + within
}

func (d dice) condition(depth int) string {
	switch n := d(10); {
	case depth > 0 && n == 0:
		return "(" + d.condition(depth-1) + " && " + d.condition(depth-1) + ")"
	case depth > 0 && n == 1:
		return "(" + d.condition(depth-1) + " || " + d.condition(depth-1) + ")"
	case depth > 0 && n == 2:
		return "!(" + d.condition(depth-1) + ")"
	case n < 6:
		return "true"
	}
	op := pickOne(d, "=", "!=", "<", "<=", ">", ">=")
	same := pickOne(d, "=", "!=")
	text := pickOne(d, `"p"`, `"q"`, `"pq"`, `""`)
	number := pickOne(d, "0", "1", "-1", "0.5", "1ns", "2")
	switch d(22) {
	case 0:
		return "name " + pickOne(d, "=", "!=", "<") + " " + text
	case 1:
		return "kind " + same + " " + pickOne(d, "server", "client", "consumer")
	case 2:
		return "status " + same + " " + pickOne(d, "error", "ok", "unset")
	case 3:
		return "statusMessage = \"bad\""
	case 4:
		return "duration " + op + " " + number
	case 5:
		return "traceDuration " + op + " " + pickOne(d, "3", "6ns", "9ns")
	case 6:
		return "rootName " + same + " " + text
	case 7:
		return "rootServiceName " + same + " " + pickOne(d, `"s"`, "nil")
	case 8:
		return "childCount " + op + " " + number
	case 9:
		return fmt.Sprintf("trace:id = \"%s\"", storetest.TraceID(uint64(1+d(4))))
	case 10:
		return fmt.Sprintf("span:id %s \"%s\"", same, storetest.SpanID(uint64(1+d(5))))
	case 11:
		return "span:parentID " + same + " " + pickOne(d, "nil", `"0000000000000001"`)
	case 12:
		return "event:name " + same + " " + pickOne(d, `"p"`, "nil")
	case 13:
		return "event:timeSinceStart " + op + " " + number
	case 14:
		return fmt.Sprintf("link:spanID %s \"%s\"", same, storetest.SpanID(uint64(1+d(5))))
	case 15:
		return "instrumentation:" + pickOne(d, `name = "lib"`, `version != "1"`)
	case 16:
		return d.field() + " " + same + " " + pickOne(d, "nil", "true", "false")
	case 17:
		return d.field() + " " + pickOne(d, "=~", "!~") + " " + pickOne(d, `"p.?"`, `"q|"`, `".*"`)
	case 18:
		return d.field() + " " + op + " " + number
	case 19:
		return d.field() + " " + same + " " + d.field()
	case 20:
		return d.field()
	}
	return d.field() + " " + pickOne(d, "=", "!=", ">=") + " " + text
}

func (d dice) field() string {
	return pickOne(d, ".a", ".b", "span.a", "span.b", "resource.a", "resource.b", "event.a", "link.b", "instrumentation.a", "resource.service.name")
}

func (d dice) stage() string {
	switch d(6) {
	case 0:
		return "count() " + pickOne(d, "> 1", "= 1", "<= 2", "!= 3")
	case 1:
		return pickOne(d, "avg", "min", "max", "sum") + "(" + pickOne(d, "duration", ".a", ".b", "childCount") + ") " + pickOne(d, ">= 1", "< 2", "!= 0", "> 1ns")
	case 2:
		return "by(" + pickOne(d, ".a", "name", "kind", "resource.service.name", "rootName", ".a, status") + ")"
	case 3:
		return "select(path)"
	case 4:
		return "select(.a, name)"
	}
	return "{ " + d.condition(1) + " }"
}
