package query

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/traceql"
)

// FuzzSearch searches a small store by any text: nothing panics, everything
// ends, and the answer is the oracle's.
func FuzzSearch(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seededDice(seed).query(), uint8(seed))
	}
	for _, text := range faultQueries {
		f.Add(text, uint8(3))
	}
	model, o := modelOf(f, seededDice(7).requests())
	f.Fuzz(func(t *testing.T, text string, limit uint8) {
		q, err := traceql.Parse(text)
		if err != nil || len(text) > 400 {
			return
		}
		opts := SearchOptions{Limit: 1 + int(limit%8), MaxSpans: 5, MaxBytes: 1 << 24, MaxVisited: 10_000, batch: 1 + int(limit%3), patience: 1}
		require.Equal(t, o.answer(q, opts), pages(t, guessing{model, seededDice(uint64(limit))}, q, opts))
	})
}
