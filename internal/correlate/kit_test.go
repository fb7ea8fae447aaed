package correlate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
)

// Rules of the tests, found by name.
var testRules = []Rule{
	{Name: "offer"},
	{Name: "id", Type: causal.MessageFlow, Confidence: 1},
	{Name: "ref", Type: causal.MessageFlow, Confidence: 1},
	{Name: "guess", Type: causal.MessageFlow, Confidence: 0.6},
	{Name: "short", Type: causal.MessageFlow, Confidence: 1, Window: int64(10 * time.Second)},
	{Name: "spawn", Type: causal.ProcessSpawn, Confidence: 1, Effects: OneEffect},
	{Name: "signal", Type: causal.ErrorPropagation, Confidence: 1, Effects: OnePerProcess},
	{Name: "retry", Type: causal.ErrorPropagation, Confidence: 1, Later: true},
	{Name: "queue", Type: causal.MessageFlow, Confidence: 1},
	{Name: "single", Type: causal.MessageFlow, Confidence: 0.9},
	{Name: "once", Type: causal.ErrorPropagation, Confidence: 0.9},
	{Name: "order", Type: causal.StateTransition, Confidence: 0.9},
	{Name: "respawn", Type: causal.ErrorPropagation, Confidence: 0.9},
	{Name: "low", Type: causal.MessageFlow, Confidence: 0.4},
}

func ruleNamed(name string) uint16 {
	i := slices.IndexFunc(testRules, func(r Rule) bool { return r.Name == name })
	if i < 0 {
		panic("no rule " + name)
	}
	return uint16(i)
}

func testConfig() Config {
	return Config{Rules: testRules, Window: time.Minute, MaxEntries: 100_000, MaxBytes: 1 << 30, MinConfidence: 0.5, MaxLate: 128}
}

// key hashes a name; "-" is none.
func key(name string) uint64 {
	if name == "-" {
		return 0
	}
	return xxh3.HashString(name)
}

// refOf names a span TRACE/SPAN, or a span alone in the trace of its name.
func refOf(name string) (ref causal.SpanRef) {
	trace, _, ok := strings.Cut(name, "/")
	if !ok {
		trace = name
	}
	h := xxh3.HashString128(trace).Bytes()
	ref.TraceID = pcommon.TraceID(h)
	s := xxh3.HashString128("span " + name).Bytes()
	copy(ref.SpanID[:], s[:8])
	return ref
}

// parse reads an observation:
//
//	[TRACE/]SPAN [root] [open] [at=N] [clock=C] [process=P] [correlation=C]
//	[sampled=HEX] [links=A,B]: OP ARGS; OP ARGS
//
// Times are seconds. Ops are those of the switch in parseOp.
func parse(t require.TestingT, line string) Observation {
	head, ops, _ := strings.Cut(line, ":")
	words := strings.Fields(head)
	o := Observation{Span: refOf(words[0]), Randomness: xxh3.HashString("r "+words[0]) >> 8}
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "root":
			o.Root = true
		case "open":
			o.Version = Open
		case "at":
			n, err := strconv.ParseFloat(value, 64)
			require.NoError(t, err)
			o.Start = int64(n * 1e9)
		case "clock":
			o.Clock = uint32(key(value))
		case "process":
			o.Process = key(value)
		case "correlation":
			o.Correlation = value
		case "sampled":
			n, err := strconv.ParseUint(value, 16, 64)
			require.NoError(t, err)
			o.Sampled, o.Randomness = true, n
		case "links":
			for _, l := range strings.Split(value, ",") {
				o.Links = append(o.Links, refOf(l))
			}
		default:
			require.Fail(t, "unknown word", w)
		}
	}
	for _, text := range strings.Split(ops, ";") {
		if text = strings.TrimSpace(text); text != "" {
			o.Ops = append(o.Ops, parseOp(t, &o, text))
		}
	}
	return o
}

func parseOp(t require.TestingT, o *Observation, text string) (op Op) {
	words := strings.Fields(text)
	if words[0] == "end" {
		op.End, words = true, words[1:]
	}
	args := words[1:]
	if last := len(args) - 1; last >= 0 && strings.HasPrefix(args[last], "by=") {
		op.Aux, args = key(args[last][3:]), args[:last]
	}
	keys := func(names []string) {
		for i, n := range names {
			op.Keys[i] = key(n)
		}
	}
	process := func(kind OpKind, rule string) {
		op.Kind, op.Rule, op.Shard = kind, ruleNamed(rule), o.Process
		op.Keys[0] = o.Process
	}
	switch words[0] {
	case "offer": // KEY
		op.Kind = Offer
		keys(args)
	case "claim": // RULE KEYS
		op.Kind, op.Rule = Claim, ruleNamed(args[0])
		keys(args[1:])
	case "send": // KEY SENDER
		op.Kind, op.Rule, op.Aux = QueueOffer, ruleNamed("queue"), key(args[1])
		keys(args[:1])
	case "receive": // SENDER KEYS
		op.Kind, op.Rule, op.Aux = QueueClaim, ruleNamed("queue"), key(args[0])
		keys(args[1:])
	case "arrive": // MESSAGE
		process(Arrive, "single")
		op.Aux = key(args[0])
	case "take": // MESSAGE
		process(Take, "single")
		op.Aux = key(args[0])
	case "fail":
		process(Fail, "once")
	case "at-once":
		process(AtOnce, "once")
	case "exited":
		process(Exited, "once")
	case "set": // KEY VALUE
		op.Kind, op.Rule, op.Aux = Set, ruleNamed("order"), key(args[1])
		keys(args[:1])
	case "previous": // KEY VALUE
		op.Kind, op.Rule, op.Aux = Previous, ruleNamed("order"), key(args[1])
		keys(args[:1])
	case "spawned": // CHILD ROLE
		op.Kind, op.Rule, op.Aux, op.Shard = Spawned, ruleNamed("respawn"), key(args[1]), 7
		keys(args[:1])
	case "died", "ended": // CHILD
		op.Kind, op.Rule, op.Shard = Died, ruleNamed("respawn"), 7
		if words[0] == "died" {
			op.Aux = 1
		}
		keys(args)
	default:
		require.Fail(t, "unknown op", text)
	}
	return op
}

// epoch is when the tests happen: a tick that is past half of its range.
const epoch = int64(1_795_518_950_000_000_000)

// bench is an engine with names for its spans.
type bench struct {
	*Engine
	names map[causal.SpanRef]string
	out   Result
}

func newBench(c Config) *bench { return &bench{Engine: New(c), names: map[causal.SpanRef]string{}} }

// observe observes lines and returns what each shall carry, a line a finding.
func (b *bench) observe(t require.TestingT, now time.Duration, lines ...string) string {
	var batch []Observation
	var spans []string
	for _, line := range lines {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		o := parse(t, line)
		name := strings.TrimSuffix(strings.Fields(line)[0], ":")
		b.names[o.Span] = name
		spans = append(spans, name)
		batch = append(batch, o)
	}
	b.Observe(batch, epoch+int64(now), &b.out)
	var text strings.Builder
	for i, span := range spans {
		for j := range b.out.Count(i) {
			fmt.Fprintln(&text, edgeText(b.out.Edge(i, j), span, b.names))
		}
		if in := b.out.Inherited(i); in != (Inherited{}) {
			fmt.Fprintf(&text, "%s inherits", span)
			if in.Correlation != "" {
				fmt.Fprintf(&text, " correlation=%s", in.Correlation)
			}
			if in.HasRandomness {
				fmt.Fprintf(&text, " randomness=%s", b.root(in.Randomness))
			}
			fmt.Fprintln(&text)
		}
	}
	return text.String()
}

func edgeText(f Found, span string, names map[causal.SpanRef]string) string {
	arrow := "->"
	if f.OtherIsCause {
		arrow = "<-"
	}
	return fmt.Sprintf("%s %s %s %s %.2f", span, arrow, names[f.Other], testRules[f.Rule].Name, f.Confidence)
}

// root names the span whose randomness it is, or writes it in hex.
func (b *bench) root(randomness uint64) string {
	for _, name := range b.names {
		if xxh3.HashString("r "+name)>>8 == randomness {
			return name
		}
	}
	return fmt.Sprintf("%x", randomness)
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func TestParseReadsAll(t *testing.T) {
	o := parse(t, "t/a root open at=1.5 clock=x process=p correlation=c sampled=ff links=b,c: offer k; end claim id a b")
	require.Equal(t, int64(1_500_000_000), o.Start)
	require.Equal(t, Open, o.Version)
	require.True(t, o.Root && o.Sampled && o.Ops[1].End)
	require.Len(t, o.Links, 2)
	require.Equal(t, [3]uint64{key("a"), key("b")}, o.Ops[1].Keys)
}
