package permanent

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPermanent(t *testing.T) {
	transient := errors.New("t")
	p := consumererror.NewPermanent(transient)
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{transient, false},
		{p, true},
		{fmt.Errorf("wrapped: %w", p), true},
		{errors.Join(p, p), true},
		{errors.Join(p, transient), false},
		{fmt.Errorf("%w, %w", transient, p), false},
		{fmt.Errorf("outer: %w", errors.Join(p, fmt.Errorf("inner: %w", errors.Join(p, p)))), true},
		{consumererror.NewPermanent(errors.Join(p, transient)), true},
		{consumererror.NewDownstream(p), true},
		{emptyJoin{}, false},
	} {
		require.Equal(t, c.want, Is(c.err), "%v", c.err)
	}
}

type emptyJoin struct{}

func (emptyJoin) Error() string   { return "" }
func (emptyJoin) Unwrap() []error { return nil }
