package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/test/internal/collector"
)

const distribution = "../../bin/otelcol-scope"

func real(t *testing.T, args ...string) options {
	t.Helper()
	if _, err := os.Stat(distribution); err != nil {
		t.Skip("bin/otelcol-scope is not built: make build")
	}
	o, err := parse(append([]string{"-binary", distribution, "-config", "../../collector-config.yaml", "-dir", t.TempDir(), "-out", filepath.Join(t.TempDir(), "overload.md")}, args...))
	require.NoError(t, err)
	return o
}

// A few seconds of storm against the distribution itself, where it has been
// built: it does not crash, and every span is accounted for. How fast it was
// does not matter here, nor how good estimates of so few chains are.
func TestTheDistributionAccountsForEverySpan(t *testing.T) {
	o := real(t, "-minutes", "0.08", "-measure", "1s")
	var r results
	require.NoError(t, storm(t.Context(), o, &r))
	a := r.Storm.Accounts
	require.Positive(t, a.Acked)
	require.Zero(t, a.Unaccounted)
	require.GreaterOrEqual(t, a.Difference, int64(0))
	require.LessOrEqual(t, a.Difference, a.Allowed)
	require.Zero(t, a.Foreign)
	require.Zero(t, a.Doubled)
	require.Zero(t, a.Mixed)
	require.Equal(t, a.ErrorsAcked, a.ErrorsStored)
	require.Zero(t, r.Storm.Lookups.Lost)
	require.NotEmpty(t, r.Storm.Watched.AtLevel)
	require.NoError(t, r.save(o.out))
}

// What the templates say are chains are chains to the distribution: from the
// last hop's work it finds back to the first hop, and nothing else.
func TestTheDistributionLinksTheHops(t *testing.T) {
	o := real(t)
	require.NoError(t, o.with(t.Context(), "", func(s *server) error {
		for native, nodes := range map[bool]int{
			true:  2 + 3*3 + 2, // work and enter; next, work and enter of hops 1 to 3; next and work
			false: 2 + 3*2 + 2, // a PRODUCER's parent is the CONSUMER
		} {
			c := content{lane: 1, native: native, service: "orders", chains: 3, lag: 1, seed: 7}
			sender, stop, err := dial(s, native, "127.0.0.1", 1, 1)
			if err != nil {
				return err
			}
			l := newLane(c, sender, 1)
			for range hops {
				tmpl := <-l.free
				o, err := l.send(tmpl, time.Now())
				if err != nil || o != acked {
					return fmt.Errorf("outcome %d: %w", o, err)
				}
				l.free <- tmpl
			}
			if err := stop(); err != nil {
				return err
			}
			for k := range c.chains {
				last := place{lane: 1, group: c.first(), chain: k, hop: hops - 1, role: workRole}
				path := collector.EventPath(text(last))
				if !native {
					path = fmt.Sprintf("/api/v1/traces/%x/spans/%016x", traceID(7, last.number()), last.number())
				}
				n, err := s.api.Nodes(t.Context(), path+"/chain?direction=causes&depth=100&limit=1000")
				if err != nil {
					return err
				}
				require.Equal(t, nodes, n, "native: %v", native)
			}
		}
		return nil
	}))
}

// A back end that misbehaves for moments: nothing that was acknowledged as
// stored is missing there.
func TestTheDistributionLosesNothingDownstream(t *testing.T) {
	o := real(t, "-pace", "0.03")
	run, err := o.downstream(t.Context(), "stored")
	require.NoError(t, err)
	require.Positive(t, run.Acked)
	require.LessOrEqual(t, run.Missing, run.SampledOut)
	require.Zero(t, run.Foreign)
	require.Len(t, run.Phases, len(phases))
}

func TestNeighboursAndLadderRun(t *testing.T) {
	o := real(t, "-pace", "0.05")
	var r results
	require.NoError(t, neighbours(t.Context(), o, &r))
	require.Len(t, r.Neighbours.Cases, 3)
	require.Positive(t, r.Neighbours.Cases[1].NoisyAcked)
	require.Equal(t, r.Neighbours.Cases[0].Quiet, r.Neighbours.Cases[0].FirstTry)
	require.NoError(t, o.with(t.Context(), "", func(s *server) error {
		var out ladderResult
		if err := o.priority(t.Context(), s, &out); err != nil {
			return err
		}
		require.Positive(t, out.Priority[0].Acked)
		require.Positive(t, out.Priority[1].Acked)
		c := content{service: "ladder", chains: 1, lag: 1}
		sender, stop, err := dial(s, false, "127.0.0.1", 4, 1)
		if err != nil {
			return err
		}
		defer func() { _ = stop() }()
		w := newWatch(t.Context(), s.Process, s.api, nil)
		defer w.end(s.Process)
		one, err := newLane(c, sender, 4).step(t.Context(), w, 1000, 500*time.Millisecond)
		require.Positive(t, one.Acked)
		return err
	}))
}

// A collector that is killed ends a scenario at once, with its folder kept.
func TestACollectorThatIsKilledUnderLoadIsAnError(t *testing.T) {
	o := real(t)
	o.minutes = 10
	begin := time.Now()
	err := o.with(t.Context(), "", func(s *server) error {
		c := content{service: "orders", chains: 1, lag: 1}
		sender, stop, err := dial(s, false, "127.0.0.1", 4, 1)
		if err != nil {
			return err
		}
		defer func() { _ = stop() }()
		time.AfterFunc(500*time.Millisecond, s.Kill)
		var out stormResult
		_, err = o.blow(t.Context(), s, []*lane{newLane(c, sender, 4)}, map[bool][]float64{false: {100}}, &out)
		return err
	})
	require.ErrorIs(t, err, errGone)
	require.Less(t, time.Since(begin), 5*time.Minute)
}

func TestACollectorThatEndsIsAnError(t *testing.T) {
	o := real(t)
	err := o.with(t.Context(), "", func(s *server) error {
		s.Kill()
		return nil
	})
	require.ErrorContains(t, err, "ended under load")
	require.ErrorContains(t, err, "is kept")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = o.start(ctx, "")
	require.Error(t, err)
}
