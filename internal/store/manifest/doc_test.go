package manifest

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The example in the format's page is a manifest.
func TestDocumentedExample(t *testing.T) {
	page, err := os.ReadFile("../../../docs/format/manifest.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(page), "```json\n")
	require.True(t, found)
	example, _, _ := strings.Cut(rest, "```")
	m, err := decode([]byte(example))
	require.NoError(t, err)
	require.Len(t, m.Blocks, 1)
}
