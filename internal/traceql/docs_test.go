package traceql_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/traceql"
)

var (
	fence  = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	inline = regexp.MustCompile("`([({][^`]*)`")
)

// TestDocumentation keeps the queries in docs/query.md as they say: those in
// traceql blocks are valid, those in text blocks have the error on the next
// line; of those in sentences the ones under "Not supported" begin as such,
// unless they say what to write instead.
func TestDocumentation(t *testing.T) {
	file, err := os.ReadFile(filepath.Join("..", "..", "docs", "query.md"))
	require.NoError(t, err)
	text := string(file)
	for _, block := range fence.FindAllStringSubmatch(text, -1) {
		switch block[1] {
		case "traceql":
			for line := range strings.Lines(block[2]) {
				requireIdentity(t, parse(t, line))
			}
		case "text":
			for pair := range strings.SplitSeq(strings.TrimSpace(block[2]), "\n\n") {
				query, want, _ := strings.Cut(pair, "\n")
				_, err := traceql.Parse(query)
				require.EqualError(t, err, want, "%s", query)
			}
		}
	}
	prose := fence.ReplaceAllString(text, "")
	before, rest, _ := strings.Cut(prose, "\n## Not supported\n")
	unsupported, after, found := strings.Cut(rest, "\n## ")
	require.True(t, found)
	for _, span := range inline.FindAllStringSubmatchIndex(unsupported, -1) {
		query := unsupported[span[2]:span[3]]
		_, err := traceql.Parse(query)
		if strings.HasSuffix(unsupported[:span[0]], "(write ") {
			require.NoError(t, err, "%s", query)
			continue
		}
		var at *traceql.Error
		require.ErrorAs(t, err, &at, "%s", query)
		require.True(t, at.Unsupported, "%s", query)
	}
	for _, part := range []string{before, after} {
		for _, query := range inline.FindAllStringSubmatch(part, -1) {
			parse(t, query[1])
		}
	}
	for _, name := range traceql.EdgeTypes() {
		require.Contains(t, text, "`"+name+"`")
	}
}
