package queryextension

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/diagram"
	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

func TestGraphs(t *testing.T) {
	c := serving(t, shop(t))
	for format, want := range map[string][2]string{
		"svg":     {"image/svg+xml", "<svg"},
		"dot":     {"text/vnd.graphviz; charset=utf-8", "digraph"},
		"mermaid": {"text/vnd.mermaid; charset=utf-8", "flowchart"},
	} {
		got := c.get(t, "/api/v1/graph?event=charge&format="+format)
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, want[0], got.header.Get("Content-Type"))
		require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
		require.Contains(t, got.header.Get("Content-Security-Policy"), "default-src 'none'")
		require.Contains(t, string(got.body), want[1])
		for _, event := range []string{"order", "send", "charge", "hear", "retry"} {
			require.Contains(t, string(got.body), event, format)
		}
	}
	svg := c.get(t, spanGraphOf(2, 3)+"&format=svg").body
	require.Equal(t, c.get(t, "/api/v1/graph?event=charge&format=svg").body, svg)
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
}

func TestGraphSaysWhatSpansAre(t *testing.T) {
	s := shop(t)
	write(t, s, storetest.Traces(storetest.Spec{Service: "pay", Trace: 2, Span: 8, Parent: 3, Name: "wait", Start: math.MaxUint64 - 9, State: "open"}))
	root := storetest.Ref(2, 3)
	g, err := query.Chain(t.Context(), s, []causal.SpanRef{root}, query.ChainOptions{Limit: 100, Depth: 1, MaxBytes: math.MaxInt})
	require.NoError(t, err)
	got, err := newDiagram(g, map[causal.SpanRef]bool{root: true})
	require.NoError(t, err)

	require.Equal(t, "Causal chain of charge", got.Title)
	require.True(t, got.Truncated)
	byName := map[string]diagram.Node{}
	for _, n := range got.Nodes {
		byName[n.Name] = n
	}
	require.Len(t, byName, 5)
	trace := storetest.TraceID(2).String()
	require.Equal(t, diagram.Node{
		ID: trace + "/0000000000000003", Service: "shop", Instance: "n1", Process: "<0.83.0>", Name: "charge", Kind: "producer",
		Start: 50, End: 51, Failed: true, Root: true,
		Detail: "trace " + trace + "\nspan 0000000000000003\nevent charge\nevent kind send\nstatus message card declined",
		Href:   "?trace=" + trace + "&span=0000000000000003&format=svg",
	}, byName["charge"])
	require.Equal(t, diagram.Node{
		ID: trace + "/000000000000004d", Missing: true, Detail: "trace " + trace + "\nspan 000000000000004d",
	}, byName[""])
	require.True(t, byName["wait"].Open)
	require.EqualValues(t, math.MaxInt64, byName["wait"].Start)
	require.False(t, byName["hear"].Failed || byName["hear"].Root)

	ways := map[string]diagram.Edge{}
	for _, e := range got.Edges {
		ways[got.Nodes[e.From].Name+">"+got.Nodes[e.To].Name] = e
	}
	require.Len(t, ways, 4)
	send := ways["send>charge"]
	require.Equal(t, "message_flow 0.9 rule", strings.Join([]string{string(send.Type), "0.9", send.Rule}, " "))
	require.InDelta(t, 0.9, send.Confidence, 0)
}

func TestDrawingThatFails(t *testing.T) {
	old := formats["dot"]
	t.Cleanup(func() { formats["dot"] = old })
	broken := old
	broken.draw = func(io.Writer, diagram.Graph) error { return errors.New("no ink") }
	formats["dot"] = broken
	p := serving(t, shop(t)).get(t, "/api/v1/graph?event=charge&format=dot").problem(t, http.StatusInternalServerError)
	require.Equal(t, "no ink", p.Detail)
}
