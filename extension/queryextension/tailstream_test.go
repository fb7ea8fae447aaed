package queryextension

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/tail"
	"github.com/otelscope/otelscope/internal/traceql"
)

// stream is a connection that keeps what is written.
type stream struct {
	http.ResponseWriter
	mu     sync.Mutex
	header http.Header
	text   strings.Builder
	writes int
	fail   error
}

func (s *stream) Header() http.Header { return s.header }
func (s *stream) WriteHeader(int)     {}
func (s *stream) Flush()              {}
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	s.text.Write(b)
	return len(b), s.fail
}

// taken returns what was written since it was last asked for.
func (s *stream) taken() (text string, writes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, writes = s.text.String(), s.writes
	s.text.Reset()
	s.writes = 0
	return text, writes
}

// streaming runs a tail against such a connection. It is for a bubble.
func streaming(t *testing.T, b *tail.Broker, failAt int) (s *stream, end func() error) {
	q, err := traceql.Parse("{}")
	require.NoError(t, err)
	sub, err := b.Subscribe(q, tail.ID{})
	require.NoError(t, err)
	s = &stream{header: http.Header{}}
	if failAt == 0 {
		s.fail = io.ErrClosedPipe
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- (&tailStream{lines: newLines(s, time.Second), sub: sub}).run(ctx) }()
	return s, func() error {
		cancel()
		sub.Close()
		return <-ended
	}
}

func TestTailsWriteLittleAndOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(testConfig().Query.Tail)
		s, end := streaming(t, b, 1)
		synctest.Wait()
		text, _ := s.taken()
		require.Equal(t, "retry: 1000\n\n", text)
		commit := spansOf(called("a"))
		require.NoError(t, b.Publish(1, commit))
		synctest.Wait()
		text, writes := s.taken()
		require.Empty(t, text, "it pauses after what it wrote")
		require.Zero(t, writes)

		time.Sleep(tailPause)
		for received := range int64(100) {
			require.NoError(t, b.Publish(2+received, commit))
			time.Sleep(tailPause / 100)
		}
		synctest.Wait()
		text, writes = s.taken()
		require.GreaterOrEqual(t, strings.Count(text, "event: span\n"), 99)
		require.LessOrEqual(t, writes, 3)

		time.Sleep(time.Second)
		s.taken()
		time.Sleep(3*keepAlive + tailPause)
		text, _ = s.taken()
		require.Equal(t, strings.Repeat(": keep-alive\nid: 101-0\n\n", 3), text)
		require.NoError(t, end())
	})
}

func TestTailsEndWithTheirConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(testConfig().Query.Tail)
		_, end := streaming(t, b, 0)
		synctest.Wait()
		require.NoError(t, end(), "at once")
		for _, later := range []func(){
			func() { require.NoError(t, b.Publish(1, spansOf(called("a")))) },
			func() { time.Sleep(keepAlive) },
		} {
			s, end := streaming(t, b, 1)
			time.Sleep(2 * tailPause)
			s.mu.Lock()
			s.fail = io.ErrClosedPipe
			s.mu.Unlock()
			later()
			time.Sleep(2 * tailPause)
			require.NoError(t, end())
		}
	})
}

func TestLargeSpansAreNotKept(t *testing.T) {
	b := newBroker(testConfig().Query.Tail)
	q, err := traceql.Parse("{}")
	require.NoError(t, err)
	sub, err := b.Subscribe(q, tail.ID{})
	require.NoError(t, err)
	defer sub.Close()
	s := &stream{header: http.Header{}}
	out := &tailStream{lines: newLines(s, time.Second), sub: sub}
	large := called("a", func(s ptrace.Span) { s.Attributes().PutStr("padding", strings.Repeat("x", tailBuffer)) })
	require.NoError(t, b.Publish(1, spansOf(large)))
	out.events, _, err = sub.Take(nil)
	require.NoError(t, err)
	require.NoError(t, out.sendEvents())
	require.Zero(t, out.buffer.Cap())
	require.NoError(t, b.Publish(2, spansOf(called("b"))))
	out.events, _, err = sub.Take(nil)
	require.NoError(t, err)
	require.NoError(t, out.sendEvents())
	require.Positive(t, out.buffer.Cap())
}
