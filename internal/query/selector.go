package query

import (
	"context"
	"iter"

	"github.com/otelscope/otelscope/internal/store"
)

// Selector is what finds spans by their contents; store.Store says what each
// method owes.
type Selector interface {
	Select(ctx context.Context, sel store.Selection) iter.Seq2[store.Span, error]
	Estimate(ctx context.Context, sel store.Selection) (spans int64, err error)
}
