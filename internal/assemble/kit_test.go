package assemble

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

func testConfig() Config {
	return Config{
		StackDepth: 100, OpenCalls: 200, EmitOpenCalls: true,
		DedupWindow: time.Hour, Dedup: NewBudget(1 << 20), Processes: 1000,
	}
}

// stage is an assembler and what is durable of its work.
type stage struct {
	cfg Config
	*Assembler
	out   *Output
	store memory
	now   int64
}

func newStage(cfg Config) *stage {
	return &stage{cfg: cfg, Assembler: New(cfg), out: NewOutput("test"), store: memory{}}
}

// run takes events in one transaction. It returns what it emitted and the ids
// of events that were recognised.
func (s *stage) run(events ...*event.Event) (emitted ptrace.Traces, known []string) {
	emitted, known = s.attempt(events...)
	s.store.write(emitted, s.now)
	s.Commit()
	return emitted, known
}

// attempt leaves the transaction open.
func (s *stage) attempt(events ...*event.Event) (emitted ptrace.Traces, known []string) {
	s.Begin()
	for _, ev := range events {
		if !s.Add(ev, s.now, s.out) {
			known = append(known, ev.ID)
		}
	}
	s.End(s.now, s.out)
	return s.out.Traces(), known
}

// crash replaces the assembler by one restored from the store, whose spans it
// reads in an order that seed decides.
func (s *stage) crash(seed int64) {
	s.cfg.Dedup = NewBudget(int(s.cfg.Dedup.max))
	s.Assembler = New(s.cfg)
	versions := s.store.versions()
	rand.New(rand.NewSource(seed)).Shuffle(len(versions), func(i, j int) {
		versions[i], versions[j] = versions[j], versions[i]
	})
	for _, v := range versions {
		s.Restore(v.resource, v.span, v.received)
	}
	s.FinishRestore(s.now)
}

// memory keeps spans by the store's rule of identity, and the open version of
// complete ones too.
type memory map[identity]*kept

type identity struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
	kind  ptrace.SpanKind
}

type kept struct{ best, open *version }

type version struct {
	resource pcommon.Map
	span     ptrace.Span
	received int64
}

func (m memory) write(td ptrace.Traces, now int64) {
	for resource, span := range spansOf(td) {
		id := identity{span.TraceID(), span.SpanID(), span.Kind()}
		if m[id] == nil {
			m[id] = &kept{}
		}
		v := &version{resource, span, now}
		switch k := m[id]; {
		case str(span.Attributes(), causal.AttrCallState) == causal.CallOpen:
			if k.open == nil {
				k.open = v
			}
		case k.best == nil:
			k.best = v
		}
	}
}

// versions returns all that is stored, complete and open.
func (m memory) versions() (all []*version) {
	for _, k := range m {
		for _, v := range []*version{k.best, k.open} {
			if v != nil {
				all = append(all, v)
			}
		}
	}
	slices.SortFunc(all, func(x, y *version) int { return strings.Compare(x.text(), y.text()) })
	return all
}

// final returns the text of each stored span, sorted, but for orphans whose
// return closed a call after all: whether they were emitted depends on where
// transactions end.
func (m memory) final() (lines []string) {
	answered := map[string]bool{}
	for _, v := range m.best() {
		answered[v.process()+str(v.span.Attributes(), causal.AttrReturnEventID)] = true
	}
	for _, v := range m.best() {
		m := v.span.Attributes()
		if str(m, causal.AttrCallState) != causal.CallOrphan || !answered[v.process()+str(m, causal.AttrEventID)] {
			lines = append(lines, v.text())
		}
	}
	slices.Sort(lines)
	return lines
}

func (m memory) best() (all []*version) {
	for _, k := range m {
		if k.best != nil {
			all = append(all, k.best)
		} else {
			all = append(all, k.open)
		}
	}
	return all
}

func (v *version) process() string {
	return fmt.Sprint(v.resource.AsRaw(), str(v.span.Attributes(), causal.AttrProcessID))
}

// text is all of a span that the assembler decides.
func (v *version) text() string {
	return fmt.Sprint(v.resource.AsRaw(), v.span.TraceID(), v.span.SpanID(), v.span.ParentSpanID(), v.span.TraceState().AsRaw(),
		v.span.Links().Len(), describeSpan(v.span, func(id string) string { return id }))
}

func spansOf(td ptrace.Traces) func(yield func(pcommon.Map, ptrace.Span) bool) {
	return func(yield func(pcommon.Map, ptrace.Span) bool) {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					if !yield(rs.Resource().Attributes(), span) {
						return
					}
				}
			}
		}
	}
}

// describeSpan writes a span in one line; name turns a hex id into what to
// show for it.
func describeSpan(span ptrace.Span, name func(string) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s) %d", span.Name(), strings.ToLower(span.Kind().String()), span.StartTimestamp())
	if span.EndTimestamp() != span.StartTimestamp() {
		fmt.Fprintf(&b, "-%d", span.EndTimestamp())
	}
	fmt.Fprintf(&b, " trace=%s", name(span.TraceID().String()))
	if !span.ParentSpanID().IsEmpty() {
		fmt.Fprintf(&b, " parent=%s", name(span.ParentSpanID().String()))
	}
	if code := span.Status().Code(); code != ptrace.StatusCodeUnset {
		fmt.Fprintf(&b, " status=%s(%s)", code, span.Status().Message())
	}
	writeAttributes(&b, span.Attributes())
	for _, ev := range span.Events().All() {
		fmt.Fprintf(&b, " +%s@%d", ev.Name(), ev.Timestamp())
		writeAttributes(&b, ev.Attributes())
	}
	return b.String()
}

func writeAttributes(b *strings.Builder, m pcommon.Map) {
	raw := m.AsRaw()
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		fmt.Fprintf(b, " %s=%v", key, raw[key])
	}
}

// parseEvent reads the compact form: KIND PROCESS [NAME] @TIME FIELD=VALUE...
// The id is the field id; service and node are s and n unless given.
func parseEvent(line string) (*event.Event, error) {
	ev := &event.Event{Service: "s", Node: "n"}
	words := strings.Fields(line)
	if len(words) < 2 {
		return nil, fmt.Errorf("%q: want KIND PROCESS", line)
	}
	for k := event.KindCall; k <= event.KindMark; k++ {
		if k.String() == words[0] {
			ev.Kind = k
		}
	}
	ev.Process = words[1]
	for _, word := range words[2:] {
		if err := parseWord(ev, word); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
	}
	return ev, nil
}

func parseWord(ev *event.Event, word string) error {
	if at, ok := strings.CutPrefix(word, "@"); ok {
		n, err := strconv.ParseInt(at, 10, 64)
		ev.Time = n
		return err
	}
	key, value, ok := strings.Cut(word, "=")
	if !ok {
		ev.Name = word
		return nil
	}
	texts := map[string]*string{
		"id": &ev.ID, "service": &ev.Service, "node": &ev.Node, "call": &ev.CallID, "mid": &ev.MessageID, "hash": &ev.MessageHash,
		"peer": &ev.Peer, "peer_node": &ev.PeerNode, "peer_service": &ev.PeerService, "signal": &ev.Signal, "child": &ev.Child,
		"entity": &ev.Entity, "from": &ev.From, "to": &ev.To, "outcome": &ev.Outcome, "cause_type": &ev.CauseType, "corr": &ev.CorrelationID,
	}
	if to := texts[key]; to != nil {
		*to = value
		return nil
	}
	switch key {
	case "phase":
		ev.Arrived = value == "arrived"
	case "assigned":
		ev.Assigned = true
	case "version":
		ev.HasVersion = true
		_, err := fmt.Sscan(value, &ev.Version)
		return err
	case "priority":
		ev.Priority = map[string]event.Priority{"low": event.PriorityLow, "high": event.PriorityHigh}[value]
	case "error":
		part := append(strings.Split(value, "|"), "", "")
		ev.Error = &event.Error{Type: part[0], Message: part[1], Stacktrace: part[2]}
	case "cause":
		ev.Cause = &event.Ref{ID: value}
	case "trigger":
		ev.Trigger = &event.Ref{Service: "other", ID: value}
	case "recovers":
		ev.Recovers = &event.Ref{MessageID: value}
	case "trace":
		_, err := hex.Decode(ev.TraceID[:], []byte(value))
		return err
	case "span":
		_, err := hex.Decode(ev.SpanID[:], []byte(value))
		return err
	case "parent":
		_, err := hex.Decode(ev.ParentSpanID[:], []byte(value))
		return err
	default:
		attr, ok := strings.CutPrefix(key, "a:")
		if !ok {
			return fmt.Errorf("unknown field %q", key)
		}
		ev.Attributes = append(ev.Attributes, event.KeyValue{Key: attr, Value: event.Value{Type: event.ValueString, Str: value}})
	}
	return nil
}
