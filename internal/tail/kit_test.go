package tail

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/traceql"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// spansOf makes spans whose names are the letters. They are so large that what
// else is held hardly counts.
func spansOf(letters string) []store.Span { return spansWith(letters, 1000) }

// spansWith makes spans with so many bytes more than they need.
func spansWith(letters string, more int) []store.Span {
	specs := make([]storetest.Spec, len(letters))
	for i, letter := range letters {
		specs[i] = storetest.Spec{Trace: 1, Span: uint64(i + 1), Name: string(letter), Group: strings.Repeat("x", more)}
	}
	var spans []store.Span
	for _, plain := range storetest.Split(storetest.Traces(specs...)) {
		spans = append(spans, plain.Encode(0))
	}
	for i := range spans {
		spans[i].Origin = spans[0].Origin // as in a store
	}
	return spans
}

// sizeOf is what such a commit takes in the ring.
func sizeOf(letters string) int64 {
	var r ring
	return r.push(1, spansOf(letters)).bytes
}

func nameOf(span store.Span) ([]byte, error) {
	plain, err := storetest.Decode(span)
	if err != nil {
		return nil, err
	}
	return []byte(plain.Span().Name()), nil
}

func newTestBroker(bytes int64) *Broker {
	return NewBroker(Options{Bytes: bytes, Subscriptions: 100, Encode: nameOf})
}

func parse(t require.TestingT, text string) *traceql.Query {
	q, err := traceql.Parse(text)
	require.NoError(t, err)
	return q
}

func subscribe(t testing.TB, b *Broker, text string, after ID) *Subscription {
	s, err := b.Subscribe(parse(t, text), after)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// take takes all there is, in words: letters of spans, and gaps as <missed>
// or <?>.
func take(t testing.TB, s *Subscription) string {
	var words strings.Builder
	for more := true; more; {
		var events []Event
		var err error
		events, more, err = s.Take(nil)
		require.NoError(t, err)
		for _, e := range events {
			words.WriteString(word(e))
		}
	}
	return words.String()
}

func word(e Event) string {
	switch {
	case e.Span != nil:
		return string(e.Span)
	case e.Gap.Missed < 0:
		return "<?>"
	}
	return fmt.Sprintf("<%d>", e.Gap.Missed)
}
