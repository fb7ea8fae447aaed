package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.uber.org/goleak"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/loadgen"
	"github.com/otelscope/otelscope/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestErrorsAreClear(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for want, args := range map[string][]string{
		`unknown scenario "flood"`: {"-scenario", "flood"},
		"-minutes: 0":              {"-minutes", "0"},
		"-pace: -1":                {"-pace", "-1"},
		"-measure: 1ms":            {"-measure", "1ms"},
		"-in-flight: 0":            {"-in-flight", "0"},
		`-out: "x"`:                {"-out", "x"},
		"make build":               {"-binary", "nowhere"},
		"flag provided but":        {"-nonsense"},
	} {
		_, err := parse(args)
		require.ErrorContains(t, err, want)
	}
	o, err := parse([]string{"-binary", self, "-pace", "0.5"})
	require.NoError(t, err)
	require.Equal(t, time.Second, o.length(2*time.Second))
	o.out = filepath.Join(t.TempDir(), "overload.md")
	require.NoError(t, os.WriteFile(figures(o.out), []byte("x"), 0o600))
	require.ErrorContains(t, overload(t.Context(), o), "no earlier results")
	require.NoError(t, os.Remove(figures(o.out)))
	o.binary, o.dir, o.scenario = "/bin/false", t.TempDir(), "ladder"
	require.ErrorContains(t, overload(t.Context(), o), "ended before it was ready")
}

// A scenario that does not run keeps the figures of its last run.
func TestScenariosKeepTheirFigures(t *testing.T) {
	out := filepath.Join(t.TempDir(), "overload.md")
	first, err := read(out)
	require.NoError(t, err)
	first.Neighbours = &neighboursResult{Command: "one", Cases: []neighbour{{Case: "alone", Quiet: 3, FirstTry: 3}}}
	require.NoError(t, first.save(out))
	second, err := read(out)
	require.NoError(t, err)
	second.Downstream = &downstreamResult{Command: "two", Runs: []downstreamRun{{Acknowledge: "stored", Missing: 7, Breaker: []turn{{Time: json.RawMessage(`"t1"`), From: "closed", To: "open", Reason: "a|b"}}}}}
	second.Ladder = &ladderResult{Command: "three", Climbs: []climb{{Format: "OTLP", End: "moderate", Steps: []step{{Offered: 10000}}}}, Priority: []served{{Who: "high"}}}
	second.Storm = &stormResult{Command: "four", Problems: []string{"a problem"}, Accounts: accounts{Services: []estimate{{Service: "orders"}}, OTLP: wholeness{Sampled: 4, Share: 0.75}}, Watched: watched{AtLevel: map[string]float64{"normal": 2, "high": 1}}}
	require.NoError(t, second.save(out))
	body, err := os.ReadFile(out)
	require.NoError(t, err)
	for _, want := range []string{"`one`", "`two`", "`three`", "`four`", "| alone | 100.0 % of 3 |", "**7 of them not at the back end**", "| t1 | closed | open | a/b |", "ended at 0 spans/s: moderate", "- a problem", "| orders |", "| of the others, sampled | none |", "| of the others, sampled: whole | 75.00 % of 4 |", "high 1, normal 2"} {
		require.Contains(t, string(body), want)
	}
	require.Error(t, second.save("/nonexistent/overload.md"))
}

// answers is a sender that answers by turns.
type answers struct {
	n   atomic.Int64
	all []error
}

func (a *answers) Send(context.Context, []byte) error {
	return a.all[int(a.n.Add(1)-1)%len(a.all)]
}

func TestOutcomesAreRecorded(t *testing.T) {
	sender := &answers{all: []error{nil, &loadgen.RefusedError{}, errors.New("broken connection"), nil}}
	l := newLane(content{service: "orders", chains: 1, lag: 1}, sender, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	require.NoError(t, l.open(ctx, 200))
	require.Greater(t, l.count(acked), int64(2))
	require.Equal(t, l.acked.Load(), l.count(acked))
	require.Equal(t, l.refused.Load(), l.count(refused))
	require.Equal(t, l.unknown.Load(), l.count(unknown))
	require.Equal(t, acked, l.of(l.first()))
	require.Equal(t, refused, l.of(l.first()+1))
	require.Equal(t, unknown, l.of(l.first()+2))
	require.Equal(t, sender.n.Load(), int64(len(l.outcomes)))
	require.EqualValues(t, l.count(acked)*14, ledgers{0: l.ledger}.spans(acked))
	require.EqualValues(t, l.count(acked)*14, ledgers{0: l.ledger}.items(acked))

	l = newLane(content{chains: 1, lag: 1}, &answers{all: []error{&loadgen.RejectedError{Reason: "bad"}}}, 1)
	require.ErrorContains(t, l.open(t.Context(), 1000), "bad")
	l = newLane(content{chains: 1, lag: 1}, &answers{all: []error{&loadgen.RejectedError{Reason: "bad"}}}, 1)
	require.ErrorContains(t, l.closed(t.Context(), 1), "bad")
	l = newLane(content{chains: 1, lag: 1}, &answers{all: []error{&loadgen.RejectedError{Reason: "bad"}}}, 1)
	require.ErrorContains(t, l.insist(t.Context(), t.Context(), 1000), "bad")
}

// slow answers after a while.
type slow struct{}

func (slow) Send(context.Context, []byte) error {
	time.Sleep(50 * time.Millisecond)
	return nil
}

func TestWhatCannotBeSentIsCounted(t *testing.T) {
	l := newLane(content{chains: 1, lag: 1}, slow{}, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	require.NoError(t, l.open(ctx, 1000))
	require.Positive(t, l.skipped.Load())
	require.Equal(t, l.acked.Load(), int64(len(l.outcomes)), "what is not sent is no request of the lane")
}

func TestInsistingSendsAgainUntilItIsTaken(t *testing.T) {
	sender := &answers{all: []error{&loadgen.RefusedError{}, errors.New("broken"), nil}}
	l := newLane(content{chains: 1, lag: 1}, sender, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	require.NoError(t, l.insist(ctx, t.Context(), 100))
	require.Positive(t, l.acked.Load())
	require.EqualValues(t, len(l.outcomes), l.count(acked))
	require.Equal(t, l.acked.Load(), l.refused.Load())
	require.Equal(t, l.acked.Load(), l.unknown.Load())
}

func TestAbsentStatusIsZero(t *testing.T) {
	var s status
	require.NoError(t, json.Unmarshal([]byte(`{}`), &s))
	require.Equal(t, normal, s.level())
	require.Zero(t, s.sampledOut())
	require.NoError(t, json.Unmarshal([]byte(`{"pressure":{"level":"high","history":[{"time":"2026-01-01T00:00:00Z","from":"normal","to":"high","score":0.9,"reason":"ring"}]},
		"components":{"scope":{"ring":{"queued_items":3,"in_flight_items":4,"accepted_items":9}},"pressure":{"spans":{"kept":5,"sampled_out":{"adaptive":10,"priority":2},"rescued":3},"breaker":{"state":"open"}}}}`), &s))
	require.Equal(t, "high", s.level())
	require.EqualValues(t, 9, s.sampledOut())
	require.EqualValues(t, 7, s.ringItems())
	require.Equal(t, "open", s.Components.Pressure.Breaker.State)
	require.Len(t, s.Pressure.History, 1)
}

// exported returns a template's request as the sink gets it.
func exported(t *testing.T, tmpl *template, n uint64) ptraceotlp.ExportRequest {
	req := ptraceotlp.NewExportRequest()
	require.NoError(t, req.UnmarshalProto(tmpl.fill(n, testNow)))
	return req
}

func TestTheSinkSaysWhatIsMissing(t *testing.T) {
	s, err := newSink()
	require.NoError(t, err)
	defer s.server.Stop()
	l := newLane(content{lane: 1, service: "orders", chains: 2, lag: 1, seed: 3}, nothing{}, 1)
	tmpl := <-l.free
	for range 10 {
		n := l.begin()
		l.end(n, acked)
		_, err := s.Export(t.Context(), exported(t, tmpl, n))
		require.NoError(t, err)
	}
	require.Zero(t, s.missing(l.ledger))
	_, err = s.Export(t.Context(), exported(t, tmpl, l.first()))
	require.NoError(t, err)
	require.EqualValues(t, 28, s.again)
	l.end(l.begin(), acked)
	require.EqualValues(t, 28, s.missing(l.ledger))
	delete(s.seen, place{lane: 1, group: l.first(), chain: 1}.number())
	require.EqualValues(t, 29, s.missing(l.ledger))

	s.become(failing)
	_, err = s.Export(t.Context(), exported(t, tmpl, l.first()))
	require.ErrorContains(t, err, "on purpose")
	s.become(hanging)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = s.Export(ctx, exported(t, tmpl, l.first()))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	s.become(flapping)
	s.begin = time.Now().Add(-flapEvery - time.Second/2)
	_, err = s.Export(t.Context(), exported(t, tmpl, l.first()))
	require.Error(t, err)
	s.begin = time.Now()
	_, err = s.Export(t.Context(), exported(t, tmpl, l.first()))
	require.NoError(t, err)
}

// From templates through a real store to accounts, by hand where the receiver
// would make spans of native events.
func TestAStoreIsReadBack(t *testing.T) {
	st, err := store.Open(store.Config{Directory: t.TempDir()})
	require.NoError(t, err)
	defer func() { require.NoError(t, st.Close(context.Background())) }()
	l := newLane(content{lane: 0, service: "orders", chains: 20, lag: 1, seed: 3}, nothing{}, 1)
	tmpl := <-l.free
	var out int64
	for range 40 {
		n := l.begin()
		l.end(n, acked)
		td := exported(t, tmpl, n).Traces()
		spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
		spans.RemoveIf(func(s ptrace.Span) bool {
			p := numberOf(s.SpanID())
			whole := place{lane: 0, group: p.group, chain: p.chain}.number()
			failed := s.Status().Code() == ptrace.StatusCodeError
			switch kept := mix(whole^99)%4 == 0; {
			case kept:
				s.TraceState().FromRaw("x=y,ot=rv:00000000000000;th:c")
			case failed:
				s.Attributes().PutBool(attrRescued, true)
			default:
				out++
				return true
			}
			return false
		})
		require.NoError(t, st.Write(t.Context(), td))
	}
	open := ptrace.NewTraces()
	span := open.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(pcommon.TraceID{9})
	span.SetSpanID(pcommon.SpanID{9})
	span.Attributes().PutStr(causal.AttrCallState, causal.CallOpen)
	require.NoError(t, st.Write(t.Context(), open))

	a, err := account(ledgers{0: l.ledger}, stored(t.Context(), st), out, l.count(acked)*int64(l.items()))
	require.NoError(t, err)
	require.Empty(t, a.problems())
	require.Zero(t, a.Difference)
	require.EqualValues(t, 40*20*14, a.Acked)
	require.Positive(t, a.ErrorsStored)
	require.Positive(t, a.Services[0].Deviates)

	span.Attributes().PutStr(causal.AttrCallState, causal.CallReturned)
	span.Attributes().PutStr(causal.AttrEventID, "somebody-elses")
	require.NoError(t, st.Write(t.Context(), open))
	_, err = account(ledgers{0: l.ledger}, stored(t.Context(), st), out, 0)
	require.ErrorIs(t, err, errForeign)
}

func TestWhatDoesNotComeToRestIsSaid(t *testing.T) {
	require.Empty(t, settlement{empty: 1, calm: 1}.problems())
	require.Len(t, settlement{}.problems(), 2)
	run := downstreamRun{Missing: 3, SampledOut: 1, Foreign: 4}
	run.judge()
	require.Equal(t, []string{"2 acknowledged spans did not reach the back end", "4 spans reached the back end that were never sent"}, run.Problems)
}
