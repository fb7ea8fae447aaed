package rule

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/causal"
)

// keyed is a rule by which spans named "cause" caused those named "effect".
func keyed(cause, effect []string) Definition {
	return Definition{
		Name: "mine", Type: causal.MessageFlow, Confidence: 0.8,
		Cause:  End{When: `name == "cause"`, Key: cause},
		Effect: End{When: `name == "effect"`, Key: effect},
	}
}

func TestKeys(t *testing.T) {
	one := []string{"k"}
	for name, c := range map[string]struct {
		causeKey, effectKey []string
		cause, effect       spanOf
		found               bool
	}{
		"equal":                       {one, []string{"j"}, spanOf{"k": "v"}, spanOf{"j": "v"}, true},
		"unequal":                     {one, one, spanOf{"k": "v"}, spanOf{"k": "w"}, false},
		"not there":                   {one, one, spanOf{}, spanOf{}, false},
		"empty":                       {one, one, spanOf{"k": ""}, spanOf{"k": ""}, false},
		"nil":                         {one, one, spanOf{"k": nil}, spanOf{"k": nil}, false},
		"integers":                    {one, one, spanOf{"k": -5}, spanOf{"k": -5}, true},
		"an integer and its text":     {one, one, spanOf{"k": 0}, spanOf{"k": "0"}, true},
		"an integer, another text":    {one, one, spanOf{"k": 5}, spanOf{"k": "05"}, false},
		"booleans":                    {one, one, spanOf{"k": false}, spanOf{"k": false}, true},
		"unequal booleans":            {one, one, spanOf{"k": false}, spanOf{"k": true}, false},
		"of other types":              {one, one, spanOf{"k": 1.5}, spanOf{"k": 1.5}, false},
		"lists":                       {one, one, spanOf{"k": []any{"a"}}, spanOf{"k": []any{"a"}}, false},
		"of the resource":             {one, one, spanOf{"resource:k": "v"}, spanOf{"k": "v"}, true},
		"the span's comes first":      {one, one, spanOf{"resource:k": "v", "k": "w"}, spanOf{"k": "v"}, false},
		"the span's is empty":         {one, one, spanOf{"resource:k": "v", "k": ""}, spanOf{"k": "v"}, true},
		"alternatives":                {[]string{"a | b"}, one, spanOf{"b": "v"}, spanOf{"k": "v"}, true},
		"the first alternative":       {[]string{"a|b"}, one, spanOf{"a": "w", "b": "v"}, spanOf{"k": "v"}, false},
		"the first is the resource's": {[]string{"a|b"}, one, spanOf{"resource:a": "w", "b": "v"}, spanOf{"k": "w"}, true},
		"two elements":                {[]string{"a", "b"}, []string{"a", "b"}, spanOf{"a": "1", "b": "2"}, spanOf{"a": "1", "b": "2"}, true},
		"two elements, exchanged":     {[]string{"a", "b"}, []string{"a", "b"}, spanOf{"a": "1", "b": "2"}, spanOf{"a": "2", "b": "1"}, false},
		"two elements, cut elsewhere": {[]string{"a", "b"}, []string{"a", "b"}, spanOf{"a": "12", "b": "3"}, spanOf{"a": "1", "b": "23"}, false},
		"one of two elements":         {[]string{"a", "b"}, []string{"a", "b"}, spanOf{"a": "1"}, spanOf{"a": "1"}, false},
		"destination":                 {[]string{"@messaging.destination"}, one, spanOf{"messaging.destination": "v"}, spanOf{"k": "v"}, true},
		"no destination":              {[]string{"@messaging.destination|a"}, one, spanOf{"a": "v"}, spanOf{"k": "v"}, true},
		"RabbitMQ's destination":      {[]string{"@messaging.destination"}, one, spanOf{"messaging.system": "rabbitmq", "messaging.destination.name": "a:b:c:d"}, spanOf{"k": "a:b"}, true},
		"RabbitMQ's, of two":          {[]string{"@messaging.destination"}, one, spanOf{"messaging.system": "rabbitmq", "messaging.destination.name": "a:b"}, spanOf{"k": "a:b"}, true},
		"RabbitMQ's, of one":          {[]string{"@messaging.destination"}, one, spanOf{"messaging.system": "rabbitmq", "messaging.destination.name": "a"}, spanOf{"k": "a"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			want := []string(nil)
			if c.found {
				want = []string{"1 -> 2 message_flow mine 0.8"}
			}
			s := compile(t, keyed(c.causeKey, c.effectKey))
			require.Equal(t, want, edges(t, s, c.cause.with("name", "cause"), c.effect.with("name", "effect")))
		})
	}
}

// Equal keys of different rules do not meet.
func TestKeysAreTheRules(t *testing.T) {
	other := keyed([]string{"k"}, []string{"k"})
	other.Name, other.Cause.When = "other", `name == "other"`
	s := compile(t, keyed([]string{"k"}, []string{"k"}), other)
	require.Equal(t, []string{"2 -> 3 message_flow other 0.8"},
		edges(t, s, spanOf{"name": "cause", "k": "1"}, spanOf{"name": "other", "k": "2"}, spanOf{"name": "effect", "k": "2"}))
}

func FuzzElement(f *testing.F) {
	f.Add("a|b")
	f.Add(" @messaging.destination |")
	f.Fuzz(func(t *testing.T, s string) {
		var named []string
		e, err := parseElement(s, func(name string) int {
			named = append(named, name)
			return len(named) - 1
		})
		if err != nil {
			return
		}
		require.Len(t, e, strings.Count(s, "|")+1)
		at := 0
		for i, part := range strings.Split(s, "|") {
			if e[i] == computed {
				require.Equal(t, destination, strings.TrimSpace(part))
				continue
			}
			require.Equal(t, strings.TrimSpace(part), named[e[i]])
			require.NotEmpty(t, named[e[i]])
			at++
		}
		require.Len(t, named, at)
	})
}
