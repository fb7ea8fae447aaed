package scopereceiver

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelscope/otelscope/internal/event"
	"github.com/otelscope/otelscope/internal/hub"
)

// bubble is a receiver without servers, in virtual time.
type bubble struct {
	*rig
	logs *observer.ObservedLogs
}

// inBubble runs test with a receiver that works, and shuts it down unless test
// did.
func inBubble(t *testing.T, change func(*Config), test func(t *testing.T, b bubble)) {
	t.Helper()
	inBubbleWith(t, nil, change, test)
}

// inBubbleWith is inBubble with a hub, whose monitor is stepped. nil: none.
func inBubbleWith(t *testing.T, newHub func() hub.Hub, change func(*Config), test func(t *testing.T, b bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := createDefaultConfig().(*Config)
		cfg.DeadLetters.Directory = t.TempDir()
		change(cfg)
		r := build(t, cfg)
		core, logs := observer.New(zapcore.InfoLevel)
		r.set.Logger = zap.New(core)
		var shared hub.Hub
		if newHub != nil {
			shared = newHub()
		}
		var err error
		r.letters, err = openLetters(cfg.DeadLetters, r.counts)
		require.NoError(t, err)
		require.NoError(t, r.scopeReceiver.build(shared))
		if shared != nil {
			r.unregister = append(r.unregister, shared.Pressure().Register(r.pool.relief.readings))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go shared.Pressure().Run(ctx)
		}
		r.pool.start()
		test(t, bubble{r, logs})
		require.NoError(t, r.Shutdown(context.Background()))
	})
}

func buffered(c *Config) { c.Acknowledge = acknowledgeBuffered }

// feedMarks hands over marks with these ids, of a process each, and returns
// the answer.
func (b bubble) feedMarks(ids ...string) error {
	var body strings.Builder
	for _, id := range ids {
		body.WriteString(mark(id))
	}
	result, err := event.Decode(event.FormatNDJSON, []byte(body.String()), idSource())
	require.NoError(b.t, err)
	require.Empty(b.t, result.Rejected)
	return b.feed.events(b.t.Context(), result.Events, body.Len())
}

// feedLater is feedMarks for a client that waits.
func (b bubble) feedLater(ids ...string) <-chan error {
	answer := make(chan error, 1)
	go func() { answer <- b.feedMarks(ids...) }()
	synctest.Wait()
	return answer
}

// numbered are n names.
func numbered(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint(prefix, i)
	}
	return names
}

// tries makes the pipeline note when it was called, and answer as fault says.
func (b bubble) tries(fault func() error) *[]time.Duration {
	var at []time.Duration
	start := time.Now()
	b.pipeline.set(func(ptrace.Traces) error {
		at = append(at, time.Since(start))
		return fault()
	})
	return &at
}

// pass lets time go by, and waits until what was due has been done.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
