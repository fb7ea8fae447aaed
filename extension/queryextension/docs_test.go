package queryextension

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

var docExample = regexp.MustCompile("(?s)```sh\ncurl 'http://localhost:4320(/[^']*)'\n```\n```([a-z]+)\n(.*?)```")

// TestDocsAreRight makes the calls in docs/causality.md, and compares what is
// answered with what stands there.
func TestDocsAreRight(t *testing.T) {
	docs := filepath.Join("..", "..", "docs")
	order, err := os.ReadFile(filepath.Join(docs, "api-examples", "order.json"))
	require.NoError(t, err)
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(order)
	require.NoError(t, err)
	s := newFaulty()
	write(t, s, td)
	c := serving(t, s)

	text, err := os.ReadFile(filepath.Join(docs, "causality.md"))
	require.NoError(t, err)
	examples := docExample.FindAllStringSubmatch(string(text), -1)
	require.Len(t, examples, 4)
	for _, example := range examples {
		path, language, want := example[1], example[2], example[3]
		got := c.get(t, path)
		require.Equal(t, http.StatusOK, got.status, path)
		if language == "json" {
			require.JSONEq(t, want, string(got.body), path)
			continue
		}
		want, _, _ = strings.Cut(want, "classDef") // how it is styled may change
		drawn, _, _ := strings.Cut(string(got.body), "classDef")
		require.Equal(t, want, drawn, path)
	}
}
