package rule

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const docs = "../../../docs/rules.md"

func readDocs(t *testing.T) string {
	b, err := os.ReadFile(docs)
	require.NoError(t, err)
	return string(b)
}

var (
	tableRow = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z_]+) \\| [^|]+ \\| ([0-9.]+)[^|]* \\| [^|]+ \\|$")
	block    = regexp.MustCompile("(?ms)^```(yaml|)\n(.*?)^```$")
)

// The tables of docs/rules.md list all built-in rules as they are.
func TestTheDocumentedRulesAreTheBuiltinOnes(t *testing.T) {
	var documented, builtin []string
	for _, row := range tableRow.FindAllStringSubmatch(readDocs(t), -1) {
		documented = append(documented, strings.Join(row[1:], " "))
	}
	for _, r := range compile(t).Rules() {
		builtin = append(builtin, fmt.Sprint(r.Name, " ", r.Type, " ", r.Confidence))
	}
	require.ElementsMatch(t, builtin, documented)
}

// definitions reads rules as the processor's configuration has them, with
// conditions compiled as the processor compiles them.
func definitions(t *testing.T, config string) []Definition {
	var c struct {
		Processors struct {
			Correlate struct{ Rules []Definition }
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(config), &c))
	compileOTTL := ottlParser(t)
	rules := c.Processors.Correlate.Rules
	require.NotEmpty(t, rules)
	for i := range rules {
		if rules[i].Confidence == 0 {
			rules[i].Confidence = 1
		}
		for _, end := range []*End{&rules[i].Cause, &rules[i].Effect} {
			met, err := compileOTTL(end.When)
			require.NoError(t, err)
			end.Met = met
		}
	}
	return rules
}

// TestTheDocumentedExamples does what the examples of docs/rules.md do.
func TestTheDocumentedExamples(t *testing.T) {
	text := readDocs(t)
	first, examples, ok := strings.Cut(text, "\n## Examples\n")
	require.True(t, ok)
	require.Len(t, compile(t, definitions(t, block.FindStringSubmatch(first)[2])...).forms, len(builtinForms())+1)

	found := strings.Split(examples, "\n### ")[1:]
	require.Len(t, found, 3)
	for _, example := range found {
		name, _, _ := strings.Cut(example, "\n")
		t.Run(name, func(t *testing.T) {
			blocks := block.FindAllStringSubmatch(example, -1)
			require.Len(t, blocks, 3)
			var documented []struct {
				Name, Kind           string
				Error, Parent        bool
				Attributes, Resource map[string]any
			}
			require.NoError(t, yaml.Unmarshal([]byte(blocks[1][2]), &documented))
			var spans []spanOf
			for _, d := range documented {
				of := spanOf{"name": d.Name, "kind": d.Kind}
				if d.Error {
					of["error"] = true
				}
				if d.Parent {
					of["parent"] = true
				}
				for key, value := range d.Attributes {
					of[key] = value
				}
				for key, value := range d.Resource {
					of["resource:"+key] = value
				}
				spans = append(spans, of)
			}
			var got strings.Builder
			for _, edge := range edges(t, compile(t, definitions(t, blocks[0][2])...), spans...) {
				var cause, effect int
				var rest [3]string
				_, err := fmt.Sscanf(edge, "%d -> %d %s %s %s", &cause, &effect, &rest[0], &rest[1], &rest[2])
				require.NoError(t, err)
				fmt.Fprintf(&got, "%d %s -> %d %s   %s\n", cause, documented[cause-1].Name, effect, documented[effect-1].Name, strings.Join(rest[:], " "))
			}
			require.Equal(t, blocks[2][2], got.String())
		})
	}
}
