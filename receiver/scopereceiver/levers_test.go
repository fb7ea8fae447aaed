package scopereceiver

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/ring"
)

func asConfigured(*Config) {}

func TestPause(t *testing.T) {
	inBubble(t, func(c *Config) { c.Ring.MaxItems = 20 }, func(t *testing.T, b bubble) {
		synctest.Wait() // workers wait for something to take
		b.pool.Pause()
		b.pool.Pause()
		early := b.feedLater("early")
		require.Equal(t, int64(1), b.ring.Stats().QueuedItems, "it waits, and no worker has it")
		pass(b.cfg.Timeout)
		err := <-early
		require.ErrorIs(t, err, errTimeout)
		require.Equal(t, "Unavailable", refuse(err).code.String())
		require.Empty(t, b.pipeline.names())
		late := b.feedLater(numbered("late", 19)...)
		require.ErrorIs(t, b.feedMarks("beyond"), ring.ErrFull)
		require.Equal(t, b.cfg.Workers.Min, b.pool.count(), "no more workers for what nobody may take")

		b.pool.Resume()
		b.pool.Resume()
		require.NoError(t, <-late)
		require.ElementsMatch(t, append(numbered("late", 19), "early"), b.pipeline.names())
		require.NoError(t, b.feedMarks("after"))
	})
}

// A pause ends nothing that a worker has begun.
func TestPauseWhileABatchIsUnderWay(t *testing.T) {
	inBubble(t, asConfigured, func(t *testing.T, b bubble) {
		b.pipeline.set(func(ptrace.Traces) error { time.Sleep(time.Second); return nil })
		first := b.feedLater("first")
		b.pool.Pause()
		second := b.feedLater("second")
		require.NoError(t, <-first)
		pass(2 * time.Second)
		require.Equal(t, []string{"first"}, b.pipeline.names())
		b.pool.Resume()
		require.NoError(t, <-second)
	})
}

// A batch that a worker took while the pause began is kept.
func TestPauseKeepsWhatWasJustTaken(t *testing.T) {
	inBubble(t, asConfigured, func(t *testing.T, b bubble) {
		b.pool.Pause()
		through := make(chan struct{})
		go func() { b.pool.whilePaused(); close(through) }()
		synctest.Wait()
		select {
		case <-through:
			t.Fatal("not paused")
		default:
		}
		b.pool.Resume()
		<-through
	})
}

func TestShutdownWhilePaused(t *testing.T) {
	inBubble(t, buffered, func(t *testing.T, b bubble) {
		b.pool.Pause()
		require.NoError(t, b.feedMarks(numbered("e", 500)...))
		start := time.Now()
		require.NoError(t, b.Shutdown(t.Context()))
		require.Zero(t, time.Since(start))
		require.Len(t, b.pipeline.names(), 500)
		b.requireLost(0)
		b.pool.Pause()
		require.NoError(t, b.pool.SetWorkers(5, 5))
		synctest.Wait()
		_, _, paused := b.pool.inForce()
		require.False(t, paused, "nothing moves any more")
	})
}

func TestSetWorkers(t *testing.T) {
	inBubble(t, asConfigured, func(t *testing.T, b bubble) {
		for _, c := range []struct {
			low, high, now int
			err            string
		}{
			{5, 8, 5, ""},
			{1, 3, 3, ""},
			{2, 16, 3, ""},
			{0, 4, 3, "min: 0 is too small: at least 1 is allowed"},
			{4, 3, 3, "max: 3 is out of range: 4 to 1024 is allowed"},
			{1, 1025, 3, "max: 1025 is out of range: 1 to 1024 is allowed"},
			{1, 1, 1, ""},
		} {
			before, _, _ := b.pool.inForce()
			err := b.pool.SetWorkers(c.low, c.high)
			synctest.Wait()
			require.Equal(t, c.now, b.pool.count(), "%+v", c)
			after, _, _ := b.pool.inForce()
			if c.err == "" {
				require.NoError(t, err)
				require.Equal(t, WorkersConfig{c.low, c.high}, after)
			} else {
				require.EqualError(t, err, c.err)
				require.Equal(t, before, after)
			}
		}
		require.NoError(t, b.pool.SetWorkers(4, 4))
		b.pool.Pause()
		require.NoError(t, b.pool.SetWorkers(1, 2))
		synctest.Wait()
		require.Equal(t, 2, b.pool.count(), "paused workers go, too")
		b.pool.Resume()
		require.NoError(t, b.feedMarks("x"))
	})
}

func TestSetBatch(t *testing.T) {
	inBubble(t, oneWorker, func(t *testing.T, b bubble) {
		for _, c := range []struct {
			low, high int
			err       string
		}{
			{0, 4, "min_size: 0 is too small: at least 1 is allowed"},
			{5, 4, "max_size: 4 is too small: at least 5 is allowed"},
		} {
			require.EqualError(t, b.pool.SetBatch(c.low, c.high), c.err)
		}
		var sizes []int
		b.pipeline.set(func(td ptrace.Traces) error { sizes = append(sizes, td.SpanCount()); return nil })
		synctest.Wait() // the worker waits for as much as is configured
		require.NoError(t, b.pool.SetBatch(3, 3))
		_, batch, _ := b.pool.inForce()
		require.Equal(t, BatchConfig{3, 3, b.cfg.Batch.MaxDelay}, batch)
		synctest.Wait()
		require.NoError(t, b.feedMarks(numbered("e", 30)...))
		pass(time.Second)
		require.Len(t, b.pipeline.names(), 30)
		require.LessOrEqual(t, slices.Max(sizes), 3)
	})
}

// All levers at once while clients send: everything is taken, once.
func TestLeversUnderLoad(t *testing.T) {
	h := newTestHub()
	r := startWithHub(t, h, func(c *Config) { c.Batch.MaxDelay = time.Millisecond })
	r.pipeline.set(func(ptrace.Traces) error { time.Sleep(100 * time.Microsecond); return nil })
	levers := h.levers()
	var clients, operator sync.WaitGroup
	var want []string
	for client := range 8 {
		want = append(want, numbered(fmt.Sprint("c", client, "-"), 40)...)
		clients.Go(func() {
			for i := range 40 {
				got, err := send(http.MethodPost, r.events, strings.NewReader(mark(fmt.Sprint("c", client, "-", i))))
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, got.status, got.text)
			}
		})
	}
	stop := make(chan struct{})
	operator.Go(func() {
		dice := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-stop:
				levers.Resume()
				return
			case <-time.After(time.Millisecond):
			}
			n := 1 + dice.IntN(10)
			switch dice.IntN(4) {
			case 0:
				levers.Pause()
			case 1:
				levers.Resume()
			case 2:
				require.NoError(t, levers.SetWorkers(n, n+dice.IntN(5)))
			case 3:
				require.NoError(t, levers.SetBatch(n, n+dice.IntN(50)))
			}
		}
	})
	clients.Wait()
	close(stop)
	operator.Wait()
	require.ElementsMatch(t, want, r.pipeline.names())
}

func TestLeversShowInTheStatus(t *testing.T) {
	h := newTestHub()
	r := startWithHub(t, h, nil)
	levers := h.levers()
	levers.Pause()
	require.NoError(t, levers.SetWorkers(3, 7))
	require.NoError(t, levers.SetBatch(11, 22))
	text, err := json.Marshal(h.status()())
	require.NoError(t, err)
	var got receiverStatus
	require.NoError(t, json.Unmarshal(text, &got))
	require.True(t, got.Paused)
	require.Equal(t, []int{3, 7, 3}, []int{got.Workers.Min, got.Workers.Max, got.Workers.Now})
	require.Equal(t, []int{11, 22}, []int{got.Batch.MinSize, got.Batch.MaxSize})
	require.NoError(t, r.Shutdown(t.Context()))
	require.Nil(t, h.levers())
}
