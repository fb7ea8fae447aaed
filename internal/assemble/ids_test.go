package assemble

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/event"
)

// Ids are part of the format: stored spans bear them, and a retry must find
// them again. These values must never change.
func TestIDsAreGolden(t *testing.T) {
	for _, c := range []struct {
		ev          event.Event
		trace, span string
	}{
		{event.Event{Service: "shop", Node: "n1", ID: "e1", Time: 1_700_000_000_000_000_000}, "bec2a1cda2ced4538e6fae118f4535a0", "bec2a1cda2ced453"},
		{event.Event{Service: "shop", ID: "e1", Time: 1_700_000_000_000_000_000}, "7a514bf34dfcb94d62bcc042c6227590", "7a514bf34dfcb94d"},
		{event.Event{ID: "é", Time: 0}, "1350fd6113b82ef670194e31a8df034a", "1350fd6113b82ef6"},
	} {
		trace, span := IDs(&c.ev)
		require.Equal(t, c.trace, trace.String())
		require.Equal(t, c.span, span.String())
	}
}

func TestIDsAreNeverZero(t *testing.T) {
	require.Equal(t, "00000000000000000000000000000001", traceID(eventKey{}).String())
	require.Equal(t, "0000000000000001", spanID(eventKey{Lo: 7}).String())
}

// Parts cannot run into each other.
func TestKeysSeparateTheirParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{"", "a", "aa", "ab", "b", "\x00", "\x01\x00\x00\x00a"})
		type parts [3]string
		draw := func(label string) parts {
			return parts{part.Draw(t, label+"1"), part.Draw(t, label+"2"), part.Draw(t, label+"3")}
		}
		x, y := draw("x"), draw("y")
		var h hasher
		require.Equal(t, x == y, h.event(x[0], x[1], x[2], 5) == h.event(y[0], y[1], y[2], 5))
		require.Equal(t, x == y, PartitionKey(x[0], x[1], x[2]) == PartitionKey(y[0], y[1], y[2]))
		require.NotEqual(t, h.event(x[0], x[1], x[2], 5), h.event(x[0], x[1], x[2], 6))
	})
}
