package assemble

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// TestTranscripts runs testdata/transcripts: events in, spans out. Commands:
//
//	new [stack=N] [open=N] [processes=N] [window=N] [dedup=N] [drop-open]
//	tx [now=N] [rollback]   events, one a line, see parseEvent; prints what they yield
//	restart                 a new assembler, restored from what was emitted
//	refuse [now=N]          events that were dead-lettered
//	expire now=N
//	stats
//
// Ids are shown as the ids of the events they come from, a span's own only
// where it is another. Attributes that say
// what the line shows anyway are left out, service, node and seq too.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		x := &transcript{stage: newStage(testConfig()), names: map[string]string{}}
		datadriven.RunTest(t, path, x.command)
	})
}

type transcript struct {
	*stage
	names map[string]string // hex id -> event id
}

func (x *transcript) command(t *testing.T, d *datadriven.TestData) string {
	if d.HasArg("now") {
		d.ScanArgs(t, "now", &x.now)
	}
	switch d.Cmd {
	case "new":
		x.stage = newStage(x.config(t, d))
	case "tx":
		return x.transaction(t, d)
	case "restart":
		x.crash(1)
	case "refuse":
		for _, ev := range x.events(t, d) {
			x.Refuse(ev, x.now)
		}
	case "expire":
		x.Expire(x.now)
	case "stats":
		return fmt.Sprintf("%+v\n", x.Stats())
	default:
		d.Fatalf(t, "unknown command %q", d.Cmd)
	}
	return ""
}

func (x *transcript) config(t *testing.T, d *datadriven.TestData) Config {
	cfg := testConfig()
	dedup, window := 1000, 1000
	for key, to := range map[string]*int{"stack": &cfg.StackDepth, "open": &cfg.OpenCalls, "processes": &cfg.Processes, "window": &window, "dedup": &dedup} {
		if d.HasArg(key) {
			d.ScanArgs(t, key, to)
		}
	}
	cfg.Dedup, cfg.DedupWindow = NewBudget(dedup), time.Duration(window)
	cfg.EmitOpenCalls = !d.HasArg("drop-open")
	return cfg
}

func (x *transcript) events(t *testing.T, d *datadriven.TestData) (events []*event.Event) {
	for line := range strings.Lines(d.Input) {
		ev, err := parseEvent(line)
		require.NoError(t, err, d.Pos)
		trace, span := IDs(ev)
		x.names[trace.String()], x.names[span.String()] = ev.ID, ev.ID
		events = append(events, ev)
	}
	return events
}

func (x *transcript) transaction(t *testing.T, d *datadriven.TestData) string {
	var b strings.Builder
	events := x.events(t, d)
	if d.HasArg("rollback") {
		x.attempt(events...)
		x.Rollback()
		return ""
	}
	emitted, known := x.run(events...)
	for _, span := range spansOf(emitted) {
		shown := ptrace.NewSpan()
		span.CopyTo(shown)
		m := shown.Attributes()
		id := str(m, causal.AttrEventID)
		fmt.Fprintf(&b, "%s %s ", str(m, causal.AttrProcessID), id)
		if span := x.name(span.SpanID().String()); span != id {
			fmt.Fprintf(&b, "span=%s ", span)
		}
		for _, key := range []string{causal.AttrProcessID, causal.AttrEventID, causal.AttrEventSeq, causal.AttrEventKind, attrFunctionName} {
			m.Remove(key)
		}
		b.WriteString(describeSpan(shown, x.name) + "\n")
	}
	for _, id := range known {
		fmt.Fprintf(&b, "known: %s\n", id)
	}
	return b.String()
}

func (x *transcript) name(id string) string {
	if name, ok := x.names[id]; ok {
		return name
	}
	return id
}
