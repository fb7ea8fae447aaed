package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// story is an order that crosses three processes, of which the worker dies of
// it; told in two halves.
func story() (first, second []string) {
	at := now()
	line := func(s string) string {
		return `{"time":` + at + `,"service":"shop","node":"n1",` + s + `}`
	}
	return []string{
			line(`"id":"o1","kind":"call","process":"order","name":"order","correlation_id":"order-17"`),
			line(`"id":"o2","kind":"send","process":"order","name":"charge","message_id":"m1","peer":"worker","correlation_id":"order-17"`),
			line(`"id":"s1","kind":"spawn","process":"supervisor","name":"worker","child":"worker"`),
		}, []string{
			line(`"id":"w0","kind":"mark","process":"worker","name":"started"`),
			line(`"id":"w1","kind":"receive","process":"worker","name":"charge","message_id":"m1"`),
			line(`"id":"w2","kind":"call","process":"worker","name":"charge_card"`),
			line(`"id":"w3","kind":"return","process":"worker","name":"charge_card","outcome":"exception","error":{"type":"badmatch"}`),
			line(`"id":"w4","kind":"exit","process":"worker","outcome":"exit"`),
			line(`"id":"s2","kind":"receive","process":"supervisor","name":"EXIT","signal":"exit","peer":"worker"`),
			line(`"id":"s3","kind":"spawn","process":"supervisor","name":"worker","child":"worker2"`),
			line(`"id":"v1","kind":"mark","process":"worker2","name":"started"`),
		}
}

// text returns a body of the query API.
func (c *collector) text(path string) string {
	c.t.Helper()
	a := c.get(path)
	require.Equal(c.t, http.StatusOK, a.status, "%s: %s", path, a.body)
	return string(a.body)
}

func TestCausesAreFoundAcrossTracesAndAKill(t *testing.T) {
	c := startCollector(t)
	first, second := story()
	c.accept(first...)
	c.kill()
	c.start()
	c.accept(second...)
	c.accept(second...) // a retry adds nothing

	var edges []string
	for line := range strings.Lines(c.text("/api/v1/edges?types=message_flow,process_spawn,error_propagation")) {
		var e struct {
			Type, Rule    string
			Cause, Effect struct {
				EventID string `json:"event_id"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		edges = append(edges, e.Cause.EventID+" -> "+e.Effect.EventID+" "+e.Rule)
	}
	require.ElementsMatch(t, []string{
		"s1 -> w0 spawn",
		"o2 -> w1 message_id",
		"w2 -> w4 failed_return",
		"w4 -> s2 exit_signal",
		"w4 -> s3 respawn",
		"s3 -> v1 spawn",
	}, edges)

	var chain struct {
		Nodes []struct {
			EventID    string         `json:"event_id"`
			Attributes map[string]any `json:"attributes"`
		}
		Truncated bool
	}
	require.NoError(t, json.Unmarshal([]byte(c.text("/api/v1/events/v1/chain?direction=causes&service=shop&node=n1")), &chain))
	var led []string
	for _, n := range chain.Nodes {
		led = append(led, n.EventID)
	}
	require.Equal(t, []string{"o1", "o2", "w1", "w2", "w4", "s2", "s3", "v1"}, led, "from the order to the new worker")
	require.False(t, chain.Truncated)
	require.Equal(t, "order-17", chain.Nodes[2].Attributes["scope.correlation.id"], "the group is handed down")

	group := c.text("/api/v1/correlations/order-17")
	for _, id := range []string{`"o1"`, `"o2"`, `"w1"`, `"w2"`} {
		require.Contains(t, group, `"event_id":`+id)
	}
	svg := c.text("/api/v1/graph?event=w4&format=svg")
	require.Contains(t, svg, "charge_card")
	require.Contains(t, c.text("/api/v1/graph?event=w4&format=dot"), "digraph")
	require.Contains(t, c.text("/api/v1/graph?event=w4&format=mermaid"), "flowchart")
}
