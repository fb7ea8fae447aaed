package storetest

import (
	"cmp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Same compares answers of which the order is part: by start time or by
// arrival. Spans that are equal in that order may come in any.
func Same(t testing.TB, want, got []Plain) {
	t.Helper()
	SameSet(t, want, got)
	for i := range want {
		if want[i].Span().StartTimestamp() != got[i].Span().StartTimestamp() {
			require.Failf(t, "order differs", "want\n%s\ngot\n%s", Describe(want), Describe(got))
		}
	}
}

// SameSet compares answers without their order.
func SameSet(t testing.TB, want, got []Plain) {
	t.Helper()
	if len(want) != len(got) {
		require.Failf(t, "number of spans differs", "want %d\n%s\ngot %d\n%s", len(want), Describe(want), len(got), Describe(got))
	}
	want, got = sorted(want), sorted(got)
	for i := range want {
		if !want[i].Equal(got[i]) {
			require.Failf(t, "spans differ", "want %s\ngot  %s\nwant %q\ngot  %q\nlinks want %q\nlinks got  %q",
				want[i], got[i], want[i].Body, got[i].Body, want[i].Links, got[i].Links)
		}
	}
}

func sorted(spans []Plain) []Plain {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b Plain) int {
		return cmp.Or(cmp.Compare(a.Body, b.Body), slices.Compare(a.Links, b.Links))
	})
	return spans
}
