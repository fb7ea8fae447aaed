package rule

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/event"
)

// sameReference requires that a text is read as internal/event reads it.
func sameReference(t require.TestingT, s string) {
	want, err := event.ParseRef(s)
	got, ok := parseReference(s)
	require.Equal(t, err == nil, ok, "%q: %v", s, err)
	if ok {
		require.Equal(t, want, event.Ref{Service: got.service, Node: got.node, ID: got.id, MessageID: got.message}, s)
	}
}

func TestReferencesAreReadAsEventsWriteThem(t *testing.T) {
	for _, s := range []string{
		"", "e", "/", "//", "///", "a/b", "a/b/c", "a/b/c/d", "//c", "a//c", "/b/c", "a/b/", "message/m", "message/", "message//", "message",
		"%", "%2", "%25", "%2F", "%2f", "%%25", "a%25b/%2Fc/d%2f", "a%2", "message/%", "message/%2F", "%/b/c", "a/%/c", "a/b/%",
	} {
		sameReference(t, s)
	}
	part := rapid.StringOfN(rapid.SampledFrom([]rune("a/%2Ff5é")), 0, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		sameReference(t, part.Draw(t, "text"))
		r := event.Ref{Service: part.Draw(t, "service"), Node: part.Draw(t, "node"), ID: part.Draw(t, "id")}
		sameReference(t, r.String())
		sameReference(t, event.Ref{MessageID: r.ID}.String())
	})
}

func FuzzReference(f *testing.F) {
	f.Add("a/b/c")
	f.Add("message/%2F")
	f.Fuzz(func(t *testing.T, s string) { sameReference(t, s) })
}
