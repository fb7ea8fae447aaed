package store_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is a store on the real disk.
type harness struct {
	cfg   store.Config
	store store.Store
}

func newHarness(t *testing.T) *harness {
	h := &harness{cfg: store.Config{Directory: t.TempDir(), ReserveBytes: 4096}}
	h.open(t)
	return h
}

func (h *harness) open(t *testing.T) {
	var err error
	h.store, err = store.Open(h.cfg)
	require.NoError(t, err)
}

func (h *harness) Store() store.Store { return h.store }

func (h *harness) Cut(t *testing.T) { require.NoError(t, store.Cut(h.store)) }

func (h *harness) Reopen(t *testing.T) {
	require.NoError(t, h.store.Close(context.Background()))
	h.open(t)
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness { return newHarness(t) })
}
