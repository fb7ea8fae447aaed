package pressure

import (
	"fmt"
	"github.com/stretchr/testify/require"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestTranscripts runs testdata/policy. Commands:
//
//	new [strategy=NAME] [moderate=NAME] [high=NAME] [critical=NAME] [hold=DURATION]
//	                   a policy at normal, with the default thresholds; the
//	                   levels' names are strategies of their own there
//	run                steps of Interval, an input line each stretch:
//	                   DURATION [KIND=VALUE | KIND=FROM..TO]..., where FROM..TO
//	                   goes there evenly, and a kind left out says nothing.
//	                   Prints each change of level, and the last state
//	forget KIND
//	step [KIND=VALUE]...
//	                   one moment with several readings of a kind, or odd ones
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/policy", func(t *testing.T, path string) {
		b := newBench(DefaultSettings())
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "new":
				b = newBench(settingsOf(t, d))
				return ""
			case "run":
				var out strings.Builder
				for line := range strings.SplitSeq(d.Input, "\n") {
					b.stretch(t, line, &out)
				}
				return out.String() + b.String()
			case "forget":
				b.policy.Forget(Kind(d.CmdArgs[0].Key))
				return ""
			case "step":
				var readings []Reading
				for field := range strings.FieldsSeq(d.Input) {
					g := parseGoing(t, field)
					readings = append(readings, Reading{Kind: g.kind, Value: g.from, Words: g.words(g.from)})
				}
				var out strings.Builder
				b.step(readings, &out)
				return out.String() + b.String()
			}
			d.Fatalf(t, "unknown command %q", d.Cmd)
			return ""
		})
	})
}

// bench is a policy with a clock.
type bench struct {
	policy     *Policy
	begin, now time.Time
	state      State
}

func newBench(s Settings) *bench {
	begin := time.Unix(1000, 0)
	b := &bench{policy: NewPolicy(s, begin), begin: begin, now: begin}
	b.state = b.policy.Step(begin, nil)
	return b
}

func settingsOf(t *testing.T, d *datadriven.TestData) Settings {
	s := DefaultSettings()
	s.ByLevel = map[Level]Strategy{}
	for _, arg := range d.CmdArgs {
		value := arg.Vals[0]
		if arg.Key == "hold" {
			hold, err := time.ParseDuration(value)
			if err != nil {
				d.Fatalf(t, "%s", err)
			}
			s.Thresholds.Hold = hold
			continue
		}
		strategy, err := ParseStrategy(value)
		if err != nil {
			d.Fatalf(t, "%s", err)
		}
		if arg.Key == "strategy" {
			s.Strategy = strategy
			continue
		}
		var l Level
		if err := l.UnmarshalText([]byte(arg.Key)); err != nil {
			d.Fatalf(t, "%s", err)
		}
		s.ByLevel[l] = strategy
	}
	return s
}

// going is a kind whose reading goes from one value to another.
type going struct {
	kind     Kind
	from, to float64
}

func (g going) words(value float64) string { return fmt.Sprintf("%s is at %.2f", g.kind, value) }

func parseGoing(t *testing.T, field string) going {
	kind, values, _ := strings.Cut(field, "=")
	from, to, ramp := strings.Cut(values, "..")
	if !ramp {
		to = from
	}
	g := going{kind: Kind(kind)}
	var err error
	if g.from, err = strconv.ParseFloat(from, 64); err != nil {
		t.Fatal(field, err)
	}
	if g.to, err = strconv.ParseFloat(to, 64); err != nil {
		t.Fatal(field, err)
	}
	return g
}

func (b *bench) stretch(t *testing.T, line string, out *strings.Builder) {
	fields := strings.Fields(line)
	length, err := time.ParseDuration(fields[0])
	if err != nil {
		t.Fatal(line, err)
	}
	steps := int(length / Interval)
	for i := 1; i <= steps; i++ {
		b.now = b.now.Add(Interval)
		var readings []Reading
		for _, field := range fields[1:] {
			g := parseGoing(t, field)
			value := g.from + (g.to-g.from)*float64(i)/float64(steps)
			readings = append(readings, Reading{Kind: g.kind, Value: value, Words: g.words(value)})
		}
		b.step(readings, out)
	}
}

func (b *bench) step(readings []Reading, out *strings.Builder) {
	before := b.state.Level
	b.state = b.policy.Step(b.now, readings)
	if b.state.Level != before {
		fmt.Fprintf(out, "%5.1fs %s -> %s: %s\n", b.now.Sub(b.begin).Seconds(), before, b.state.Level, b.state.Reason)
	}
}

func (b *bench) String() string {
	s := b.state
	text := fmt.Sprintf("%5.1fs %s since %.1fs, score %.2f, %s, admission %.2f", b.now.Sub(b.begin).Seconds(),
		s.Level, s.Since.Sub(b.begin).Seconds(), s.Score, s.Strategy, s.Admission)
	if len(s.Silent) > 0 {
		text += fmt.Sprintf(", silent %v", s.Silent)
	}
	if s.Reason != "" {
		text += "\n       " + s.Reason
	}
	return text
}

// The ring may grow only into memory that is free.
func TestAdmissionEndsWhereMemoryDoes(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	admission := func(strategy Strategy, readings ...Reading) float64 {
		s := DefaultSettings()
		s.Strategy = strategy
		return NewPolicy(s, now).Step(now.Add(time.Second), readings).Admission
	}
	ring := Reading{Kind: Ring, Held: 20, Limit: 100}
	require.InDelta(t, 1, admission(Refuse, ring), 0, "without a limit of memory")
	require.InDelta(t, 1, admission(Refuse, ring, Reading{Kind: Memory, Held: 100, Limit: 400}), 0)
	require.InDelta(t, 0.35, admission(Refuse, ring, Reading{Kind: Memory, Held: 350, Limit: 400}), 1e-9)
	require.InDelta(t, 0.2, admission(Refuse, ring, Reading{Kind: Memory, Held: 500, Limit: 400}), 1e-9, "what it holds it may keep")
	require.InDelta(t, 1.0/16, admission(Refuse, Reading{Kind: Ring, Limit: 100}, Reading{Kind: Memory, Held: 500, Limit: 400}), 1e-9)
	require.InDelta(t, 1, admission(Off, ring, Reading{Kind: Memory, Held: 500, Limit: 400}), 0)
}
