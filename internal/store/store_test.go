package store_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is the store under the contract's suite.
type harness struct {
	cfg   store.Config
	store store.Store
}

func newHarness(t *testing.T, cfg store.Config) *harness {
	cfg.ReserveBytes, cfg.CutBytes = 4096, 256<<10
	h := &harness{cfg: cfg}
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
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		return newHarness(t, store.Config{Directory: "/data", FS: memfs.New()})
	})
}

// TestOnDisk goes over the way of a span once on the real file system.
func TestOnDisk(t *testing.T) {
	h := newHarness(t, store.Config{Directory: filepath.Join(t.TempDir(), "a", "b")})
	for i := range uint64(3) {
		write(t, h.store, storetest.Spec{Trace: 1, Span: 2*i + 1, Event: "e", State: causal.CallOpen})
		h.Cut(t)
		write(t, h.store, storetest.Spec{Trace: 1, Span: 2*i + 2})
		h.Reopen(t)
	}
	require.Len(t, trace(t, h.store, 1), 6)
	spans, err := h.store.Event(t.Context(), "e")
	require.NoError(t, err)
	require.Len(t, spans, 3)
	require.NoError(t, h.store.Close(context.Background()))
}
