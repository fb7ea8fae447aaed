package event

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRefText(t *testing.T) {
	for text, ref := range map[string]Ref{
		"e1":                 {ID: "e1"},
		"e%2F1%25":           {ID: "e/1%"},
		"message":            {ID: "message"},
		"message/m-7":        {MessageID: "m-7"},
		"orders//e1":         {Service: "orders", ID: "e1"},
		"/orders@host/e1":    {Node: "orders@host", ID: "e1"},
		"a%2Fb/n%25/<0.1.0>": {Service: "a/b", Node: "n%", ID: "<0.1.0>"},
	} {
		require.Equal(t, text, ref.String())
		got, err := ParseRef(text)
		require.NoError(t, err)
		require.Equal(t, ref, got)
	}
}

func TestBadRefText(t *testing.T) {
	for text, reason := range map[string]string{
		"":         `reference "": the id is empty`,
		"a/b/":     `reference "a/b/": the id is empty`,
		"message/": `reference "message/": the id is empty`,
		"a/b":      `reference "a/b": must be ID, SERVICE/NODE/ID or message/ID`,
		"a/b/c/d":  `reference "a/b/c/d": must be ID, SERVICE/NODE/ID or message/ID`,
		"50%":      `reference "50%": "%" must be written %25`,
		"a%20b":    `reference "a%20b": "%" must be written %25`,
	} {
		_, err := ParseRef(text)
		require.EqualError(t, err, reason)
	}
}

func FuzzParseRef(f *testing.F) {
	for _, text := range []string{"e1", "message/m", "a/b/c", "%25%2F/%2f/x", "%"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRef(text)
		if err != nil {
			return
		}
		again, err := ParseRef(r.String())
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}
