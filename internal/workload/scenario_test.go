package workload

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

func play(t *testing.T, name string, seed uint64) []Step {
	s, err := NewScenario(name, Trial{Seed: seed, Start: time.Unix(1_700_000_000, 0), Rounds: 60})
	require.NoError(t, err)
	return all(s.Next)
}

func TestScenariosTellWhatTheyAreFor(t *testing.T) {
	expect := map[string][]causal.Type{
		"ticks":       {causal.MessageFlow},
		"mailboxes":   {causal.MessageFlow},
		"crowd":       {causal.MessageFlow},
		"counters":    {causal.MessageFlow},
		"redelivery":  {causal.MessageFlow, causal.ErrorPropagation},
		"outside":     {causal.MessageFlow, causal.ProcessSpawn},
		"lives":       {causal.MessageFlow, causal.ProcessSpawn, causal.ErrorPropagation},
		"states":      {causal.StateTransition},
		"supervision": {causal.ProcessSpawn, causal.ErrorPropagation},
		"references":  {causal.MessageFlow, causal.StateTransition, causal.ErrorPropagation},
	}
	require.Len(t, Scenarios(), len(expect))
	for _, name := range Scenarios() {
		t.Run(name, func(t *testing.T) {
			steps := play(t, name, 1)
			require.Equal(t, steps, play(t, name, 1))
			require.NotEqual(t, steps, play(t, name, 2))
			types := map[causal.Type]int{}
			seen := map[string]bool{}
			var body []byte
			last := int64(0)
			for _, s := range steps {
				require.False(t, seen[s.Event.ID], "an id is used once")
				seen[s.Event.ID] = true
				require.GreaterOrEqual(t, s.Event.Time, last)
				last = s.Event.Time
				for _, c := range s.Causes {
					require.True(t, seen[c.ID], "a cause is told before its effect")
					types[c.Type]++
				}
				body = append(s.Event.AppendJSON(body), '\n')
			}
			for _, kind := range expect[name] {
				require.NotZero(t, types[kind], kind)
			}
			decoded, err := event.Decode(event.FormatNDJSON, body, func() string { return "" })
			require.NoError(t, err)
			require.Empty(t, decoded.Rejected)
			require.Len(t, decoded.Events, len(steps))
		})
	}
}

func TestScenarioRefusesWhatItDoesNotKnow(t *testing.T) {
	_, err := NewScenario("bedlam", Trial{Rounds: 1})
	require.ErrorContains(t, err, `unknown scenario "bedlam"`)
	_, err = NewScenario("ticks", Trial{})
	require.ErrorContains(t, err, "Rounds: 0")
}

func TestMergeTellsAllInOrderOfTime(t *testing.T) {
	a, b := play(t, "ticks", 1), play(t, "states", 1)
	merged := all(Merge(from(a), from(b), from(nil)))
	require.Len(t, merged, len(a)+len(b))
	last := int64(0)
	for _, s := range merged {
		require.GreaterOrEqual(t, s.Event.Time, last)
		last = s.Event.Time
	}
}
