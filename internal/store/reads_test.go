package store_test

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/log"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

// TestReadsSayWhatTheDiskSays: an error of the disk is an error of the read,
// never a shorter answer.
func TestReadsSayWhatTheDiskSays(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, st store.Store, cfg store.Config, _ *observed) {
		for i := range uint64(3) {
			write(t, st, storetest.Spec{Trace: 1, Span: i + 1, Parent: 8, Event: "e", Group: "g"})
			require.NoError(t, store.Cut(st))
		}
		write(t, st, storetest.Spec{Trace: 1, Span: 9, Event: "e"})
		write(t, st, storetest.Spec{Trace: 1, Span: 1, State: causal.CallOpen, Event: "e"})
		fsys := cfg.FS.(*memfs.FS)
		reads := map[string]func() error{
			"trace": func() error { _, err := st.Trace(ctx, storetest.TraceID(1)); return err },
			"event": func() error { _, err := st.Event(ctx, "e"); return err },
			"spans": func() error { _, err := st.Spans(ctx, []causal.SpanRef{storetest.Ref(1, 1)}); return err },
			"referring": func() error {
				_, _, err := st.Referring(ctx, []causal.SpanRef{storetest.Ref(1, 8)}, 10)
				return err
			},
			"correlation": func() error { _, _, err := st.Correlation(ctx, "g", 10); return err },
			"scan":        func() error { _, err := collect(st, store.ScanOptions{}); return err },
			"open":        func() error { _, err := collect(st, store.ScanOptions{OpenCalls: true}); return err },
		}
		for name, read := range reads {
			failed := 0
			for n := 0; ; n++ {
				seen := 0
				fsys.SetHook(func(op memfs.Op, _ string) error {
					if op != memfs.OpRead {
						return nil
					}
					if seen++; seen == n+1 {
						return syscall.EIO
					}
					return nil
				})
				err := read()
				fsys.SetHook(nil)
				if seen <= n {
					require.NoError(t, err)
					break
				}
				failed++
				require.ErrorIs(t, err, syscall.EIO, name)
			}
			require.Positive(t, failed, name)
			require.NoError(t, read())
		}
		// A cut that cannot look for the late open call waits until it can.
		fsys.SetHook(func(op memfs.Op, _ string) error {
			if op == memfs.OpRead {
				return syscall.EIO
			}
			return nil
		})
		require.NoError(t, store.Rotate(st))
		synctest.Wait()
		require.Contains(t, st.Stats().Trouble, "open calls")
		fsys.SetHook(nil)
		require.NoError(t, store.AwaitCut(st))
		require.Len(t, trace(t, st, 1), 4)
	})
}

// TestContextEndsReads ends reads between the parts of a store.
func TestContextEndsReads(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, st store.Store, cfg store.Config, _ *observed) {
		for i := range uint64(3) {
			write(t, st, storetest.Spec{Trace: 1, Span: i + 1, Parent: 8, Event: "e", Group: "g"})
			require.NoError(t, store.Cut(st))
		}
		write(t, st, storetest.Spec{Trace: 1, Span: 9})
		for _, read := range []func(context.Context) error{
			func(ctx context.Context) error { _, err := st.Trace(ctx, storetest.TraceID(1)); return err },
			func(ctx context.Context) error { _, err := st.Event(ctx, "e"); return err },
			func(ctx context.Context) error {
				_, err := st.Spans(ctx, []causal.SpanRef{storetest.Ref(1, 1)})
				return err
			},
			func(ctx context.Context) error {
				_, _, err := st.Referring(ctx, []causal.SpanRef{storetest.Ref(1, 8)}, 10)
				return err
			},
			func(ctx context.Context) error { _, _, err := st.Correlation(ctx, "g", 10); return err },
		} {
			ended, cancel := context.WithCancel(ctx)
			defer cancel()
			cfg.FS.(*memfs.FS).SetHook(func(memfs.Op, string) error { cancel(); return nil })
			require.ErrorIs(t, read(ended), context.Canceled)
		}
		cfg.FS.(*memfs.FS).SetHook(nil)
		ended, cancel := context.WithCancel(ctx)
		defer cancel()
		n := 0
		for _, err := range st.Scan(ended, store.ScanOptions{}) {
			if n++; n == 2 {
				require.ErrorIs(t, err, context.Canceled)
			}
			cancel()
		}
		require.Equal(t, 2, n)
	})
}

// TestUnknownFramesAreAnError: a log that someone else wrote is not skipped.
func TestUnknownFramesAreAnError(t *testing.T) {
	for name, frame := range map[string]log.Frame{
		"of kind 77":     {Kind: 77},
		"malformed OTLP": {Kind: 1, Payload: []byte{0xff}},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := memfs.New()
			require.NoError(t, fsys.MkdirAll("/d/log"))
			l, _, err := log.Open(log.Options{FS: fsys, Dir: "/d/log", Sync: true}, nil)
			require.NoError(t, err)
			require.NoError(t, l.Append(frame))
			require.NoError(t, l.Close())
			_, err = store.Open(store.Config{Directory: "/d", FS: fsys})
			require.ErrorContains(t, err, name)
			require.Empty(t, fsys.OpenFiles())
		})
	}
}
