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
				require.Equal(t, RoomWait, waited)
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

func TestBacklogOfIntake(t *testing.T) {
	const cutBytes, cutSpans = 1000, 10
	for name, test := range map[string]struct {
		queued, live load
		want         float64
	}{
		"empty":                      {load{}, load{}, 0},
		"as much as a head":          {load{}, load{1000, 10}, 0},
		"half of the room, in bytes": {load{500, 0}, load{1000, 0}, 0.5},
		"half of the room, in spans": {load{0, 10}, load{0, 5}, 0.5},
		"whichever is more":          {load{}, load{1250, 19}, 0.9},
		"full":                       {load{2000, 1}, load{}, 1},
		"the last one overshot":      {load{9000, 1}, load{}, 1},
		"all was carried over":       {load{}, load{-300, -3}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			q := &intake{
				maxBytes: 2 * cutBytes, maxSpans: 2 * cutSpans, cutBytes: cutBytes, cutSpans: cutSpans,
				queued: test.queued, live: test.live,
			}
			backlog, stalled := q.strain()
			require.InDelta(t, test.want, backlog, 1e-9)
			require.Zero(t, stalled)
		})
	}
}

// TestLongestStall: of the writers that wait, the one that came first counts,
// until it leaves, for whatever reason.
func TestLongestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		td := ptrace.NewTraces()
		td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("x")
		batch, err := prepare(td)
		require.NoError(t, err)
		q := &intake{maxBytes: 1 << 20, maxSpans: 1, wake: make(chan struct{}, 1), live: load{spans: 1}}
		ended := make(chan error, 3)
		write := func(ctx context.Context) {
			go func() { ended <- q.put(ctx, &entry{batch: batch, kind: frameWrite}) }()
		}
		longest := func() time.Duration {
			_, stalled := q.strain()
			return stalled
		}
		ctx, cancel := context.WithCancel(t.Context())
		write(ctx)
		time.Sleep(100 * time.Millisecond)
		write(t.Context())
		time.Sleep(100 * time.Millisecond)
		write(t.Context())
		time.Sleep(100 * time.Millisecond)
		require.Equal(t, 300*time.Millisecond, longest())
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.Equal(t, 200*time.Millisecond, longest())
		time.Sleep(RoomWait - 200*time.Millisecond)
		require.ErrorContains(t, <-ended, reasonBacklog)
		require.Equal(t, RoomWait-100*time.Millisecond, longest())
		q.settle(load{}, load{})
		require.NoError(t, <-ended)
		require.Zero(t, longest())
	})
}
