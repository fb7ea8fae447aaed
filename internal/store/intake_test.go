package store

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// TestWriterWaitsForRoom: what ends the wait of a writer that finds no room.
func TestWriterWaitsForRoom(t *testing.T) {
	cases := map[string]struct {
		end   func(q *intake, cancel context.CancelFunc)
		check func(t *testing.T, err error, waited time.Duration)
	}{
		"a cut makes room": {
			func(q *intake, _ context.CancelFunc) { q.settle(load{}, load{}) },
			func(t *testing.T, err error, waited time.Duration) { require.NoError(t, err); require.Zero(t, waited) },
		},
		"a commit that makes none": {
			func(q *intake, _ context.CancelFunc) { q.settle(load{}, load{spans: 1}) },
			func(t *testing.T, err error, waited time.Duration) {
				require.ErrorContains(t, err, reasonBacklog)
				require.Equal(t, roomWait, waited)
			},
		},
		"the disk is full": {
			func(q *intake, _ context.CancelFunc) { q.setFull(true) },
			func(t *testing.T, err error, waited time.Duration) {
				require.ErrorContains(t, err, reasonNoSpace)
				require.Zero(t, waited)
			},
		},
		"the store closes": {
			func(q *intake, _ context.CancelFunc) { q.close() },
			func(t *testing.T, err error, waited time.Duration) {
				require.ErrorIs(t, err, ErrClosed)
				require.Zero(t, waited)
			},
		},
		"the client gives up": {
			func(_ *intake, cancel context.CancelFunc) { cancel() },
			func(t *testing.T, err error, waited time.Duration) {
				require.ErrorIs(t, err, context.Canceled)
				require.Zero(t, waited)
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				td := ptrace.NewTraces()
				td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("x")
				batch, err := prepare(td)
				require.NoError(t, err)
				q := &intake{maxBytes: 1 << 20, maxSpans: 1, wake: make(chan struct{}, 1), live: load{spans: 1}}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				began, done := time.Now(), make(chan error, 1)
				go func() { done <- q.put(ctx, &entry{batch: batch, kind: frameWrite}) }()
				synctest.Wait()
				require.Empty(t, done, "it waits")
				c.end(q, cancel)
				c.check(t, <-done, time.Since(began))
			})
		})
	}
}
