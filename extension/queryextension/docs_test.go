package queryextension

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

var (
	docExample = regexp.MustCompile("(?s)```sh\ncurl (?:-G )?'http://localhost:4320(/[^']*)'([^\n]*)\n```\n```([a-z]+)\n(.*?)```")
	docData    = regexp.MustCompile(`(-d|--data-urlencode) (?:'([^']*)'|(\S+))`)
)

// docPath is what curl asks for: the path, with what -d and --data-urlencode
// add under -G.
func docPath(path, data string) string {
	for _, d := range docData.FindAllStringSubmatch(data, -1) {
		name, value, _ := strings.Cut(d[2]+d[3], "=")
		if d[1] == "--data-urlencode" {
			value = url.QueryEscape(value)
		}
		mark := "?"
		if strings.Contains(path, "?") {
			mark = "&"
		}
		path += mark + name + "=" + value
	}
	return path
}

// TestDocsAreRight makes the calls in the docs, and compares what is answered
// with what stands there.
func TestDocsAreRight(t *testing.T) {
	docs := filepath.Join("..", "..", "docs")
	for page, about := range map[string]struct {
		files    []string
		examples int
	}{
		"causality.md": {[]string{"order.json"}, 4},
		"query.md":     {[]string{"order.json", "desk.json"}, 6},
	} {
		t.Run(page, func(t *testing.T) {
			s := newFaulty()
			for _, file := range about.files {
				encoded, err := os.ReadFile(filepath.Join(docs, "api-examples", file))
				require.NoError(t, err)
				td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(encoded)
				require.NoError(t, err)
				write(t, s, td)
			}
			c := serving(t, s)
			text, err := os.ReadFile(filepath.Join(docs, page))
			require.NoError(t, err)
			examples := docExample.FindAllStringSubmatch(string(text), -1)
			require.Len(t, examples, about.examples)
			for _, example := range examples {
				path, language, want := docPath(example[1], example[2]), example[3], example[4]
				got := c.get(t, path)
				require.Equal(t, http.StatusOK, got.status, "%s: %s", path, got.body)
				if language == "json" {
					require.JSONEq(t, want, string(got.body), path)
					continue
				}
				want, _, _ = strings.Cut(want, "classDef") // how it is styled may change
				drawn, _, _ := strings.Cut(string(got.body), "classDef")
				require.Equal(t, want, drawn, path)
			}
		})
	}
}
