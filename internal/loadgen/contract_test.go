package loadgen

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/event"
)

func TestEventsAreTheContract(t *testing.T) {
	tmpl := Events(1, 0, 50)
	res, err := event.Decode(event.FormatNDJSON, tmpl.Fill(1, now), func() string { return "assigned" })
	require.NoError(t, err)
	require.Empty(t, res.Rejected)
	require.Len(t, res.Events, tmpl.Items)
}
