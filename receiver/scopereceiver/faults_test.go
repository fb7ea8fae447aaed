package scopereceiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/otelscope/otelscope/internal/deadletter"
	"github.com/otelscope/otelscope/receiver/scopereceiver/internal/metadatatest"
)

var errPoison = consumererror.NewPermanent(errors.New("this span cannot be stored"))

// letterList returns what the dead letters hold.
func (r *rig) letterList() []deadletter.Stored {
	r.t.Helper()
	letters, more, err := r.letters.log.List("", 10000, true)
	require.NoError(r.t, err)
	require.False(r.t, more)
	return letters
}

// Events and spans from many clients at once, one event and one span among
// them poisoned: these two become dead letters, all else goes its way.
func TestCulpritsAreFound(t *testing.T) {
	for _, c := range []struct {
		name, source string
		restarts     bool
		fault        func(td ptrace.Traces) error
	}{
		{"refused for good", sourceBatch, false, func(td ptrace.Traces) error {
			if contains(td, "e7-3", "s3") {
				return errPoison
			}
			return nil
		}},
		{"panics", sourcePanic, true, func(td ptrace.Traces) error {
			if contains(td, "e7-3", "s3") {
				panic("boom")
			}
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, testConfig(t), nil)
			r.pipeline.set(c.fault)
			var clients sync.WaitGroup
			var want []string
			for client := range 20 {
				body := ""
				for i := range 20 {
					id := fmt.Sprintf("e%d-%d", client, i)
					body += at(fmt.Sprint("p", client), id, "mark", i, `"name":"n"`)
					if id != "e7-3" {
						want = append(want, id)
					}
				}
				clients.Go(func() {
					got, err := send(http.MethodPost, r.events, strings.NewReader(body))
					require.NoError(t, err)
					require.Equal(t, http.StatusOK, got.status, got.text)
					require.Equal(t, 20, got.Accepted)
				})
			}
			clients.Go(func() {
				require.NoError(t, exportHTTP(r.http, otlp("s0", "s1", "s2", "s3", "s4")))
			})
			want = append(want, "s0", "s1", "s2", "s4")
			clients.Wait()
			require.ElementsMatch(t, want, r.pipeline.names())
			for client := range 20 {
				require.True(t, slices.IsSortedFunc(only(r.pipeline.names(), fmt.Sprintf("e%d-", client)), byNumber), "order of a process")
			}

			letters := r.letterList()
			require.Len(t, letters, 2)
			for _, l := range letters {
				require.Equal(t, c.source, l.Source)
				switch l.Format {
				case formatJSON:
					require.Contains(t, string(l.Payload), `"id":"e7-3"`)
				case formatOTLP:
					td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(l.Payload)
					require.NoError(t, err)
					require.Equal(t, 1, td.SpanCount())
					require.True(t, contains(td, "s3"))
				default:
					t.Fatalf("format %q", l.Format)
				}
			}
			require.Equal(t, c.restarts, r.counts.restarts.Load() > 0)

			// The buried event is recognised when its client sends it again.
			got := r.post(at("p7", "e7-3", "mark", 3, `"name":"n"`))
			require.Equal(t, http.StatusOK, got.status)
			require.Len(t, r.letterList(), 2)
			metadatatest.AssertEqualScopeReceiverDeadLetters(t, r.telemetry, []metricdata.DataPoint[int64]{
				{Value: 2, Attributes: attribute.NewSet(attribute.String("source", c.source))},
			}, metricdatatest.IgnoreTimestamp())
		})
	}
}

func only(names []string, prefix string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !strings.HasPrefix(n, prefix) })
}

func byNumber(a, b string) int {
	var x, y, nx, ny int
	_, _ = fmt.Sscanf(a, "e%d-%d", &x, &nx)
	_, _ = fmt.Sscanf(b, "e%d-%d", &y, &ny)
	return nx - ny
}

// How fast a worker that panicked is back, and that nobody else notices.
func TestPanicRecovery(t *testing.T) {
	cfg := testConfig(t)
	cfg.Workers = WorkersConfig{Min: 1, Max: 1}
	r := start(t, cfg, nil)
	var died atomic.Int64
	recovered := make(chan time.Duration, 1)
	r.pipeline.set(func(td ptrace.Traces) error {
		if contains(td, "culprit") {
			died.CompareAndSwap(0, time.Now().UnixNano())
			panic(errors.New("boom"))
		}
		if at := died.Load(); at != 0 {
			select {
			case recovered <- time.Duration(time.Now().UnixNano() - at):
			default:
			}
		}
		return nil
	})
	body := ""
	for i := range 999 {
		body += mark(fmt.Sprint("m", i))
	}
	start := time.Now()
	got := r.post(body + mark("culprit"))
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.Equal(t, 1000, got.Accepted)
	t.Logf("first span through %v after the panic; all 1000 events answered %v after they were sent", <-recovered, time.Since(start))

	require.Len(t, r.pipeline.names(), 999)
	letters := r.letterList()
	require.Len(t, letters, 1)
	require.Equal(t, "panic: boom", letters[0].Reason)
	require.Equal(t, int64(1), r.counts.restarts.Load())
	require.Equal(t, 1, r.pool.count())
	metadatatest.AssertEqualScopeReceiverWorkerRestarts(t, r.telemetry, []metricdata.DataPoint[int64]{{Value: 1}}, metricdatatest.IgnoreTimestamp())
}

// A worker whose successor dies, too, does not kill a third: the clients are
// told to come again.
func TestSecondDeath(t *testing.T) {
	cfg := testConfig(t)
	cfg.Workers = WorkersConfig{Min: 1, Max: 1}
	r := start(t, cfg, nil)
	letters := r.handler.letters
	r.handler.letters = nil // so that burying panics
	r.pipeline.set(func(td ptrace.Traces) error { panic("boom") })
	got := r.post(mark("x"))
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Contains(t, got.Error, errWorker.Error())
	require.Equal(t, int64(2), r.counts.restarts.Load())
	r.handler.letters = letters
	r.pipeline.set(nil)
	r.requireGood("y")
}

// A worker that dies in the middle of its search leaves what it has settled to
// nobody: that is not handed on again.
func TestDeathAfterPartOfABatch(t *testing.T) {
	cfg := testConfig(t)
	cfg.Acknowledge, cfg.Workers = acknowledgeBuffered, WorkersConfig{Min: 1, Max: 1}
	r := start(t, cfg, nil)
	entered, hold := make(chan struct{}), make(chan struct{})
	var calls atomic.Int64
	r.pipeline.set(func(td ptrace.Traces) error {
		switch calls.Add(1) {
		case 1:
			close(entered)
			<-hold
		case 2:
			require.Equal(t, 4, td.SpanCount())
			return errPoison
		case 4:
			require.Equal(t, 2, td.SpanCount())
			panic("boom")
		}
		return nil
	})
	require.NoError(t, exportHTTP(r.http, otlp("first")))
	<-entered
	for i := range 4 {
		require.NoError(t, exportHTTP(r.http, otlp(fmt.Sprint("s", i))))
	}
	close(hold)
	require.Eventually(t, func() bool { return len(r.pipeline.names()) == 5 }, time.Minute, time.Millisecond)
	require.Equal(t, []string{"first", "s0", "s1", "s2", "s3"}, r.pipeline.names())
	require.Equal(t, int64(1), r.counts.restarts.Load())
}

// What is refused for good and too large to be kept is told to the client.
func TestTooLargeForTheDeadLetters(t *testing.T) {
	cfg := testConfig(t)
	cfg.DeadLetters.MaxBytes = 1 << 20
	r := start(t, cfg, nil)
	r.pipeline.set(func(td ptrace.Traces) error {
		if td.SpanCount() > 1 || contains(td, "big") {
			return errPoison
		}
		return nil
	})
	td := otlp("small", "big")
	td.ResourceSpans().At(1).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr("text", strings.Repeat("x", 2<<20))
	err := exportGRPC(t, r.grpc, td)
	require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
	require.ErrorContains(t, err, deadletter.ErrTooLarge.Error())
	require.Equal(t, []string{"small"}, r.pipeline.names())
}

func TestTransientErrors(t *testing.T) {
	r := start(t, testConfig(t), nil)
	transient := errors.New("exporter is busy")
	joined := errors.Join(transient, errPoison)
	for _, err := range []error{transient, joined, fmt.Errorf("fan-out: %w", joined)} {
		r.pipeline.set(func(ptrace.Traces) error { return err })
		got := r.post(mark("t"))
		require.Equal(t, http.StatusServiceUnavailable, got.status)
		require.Contains(t, got.Error, "exporter is busy")
	}
	require.Empty(t, r.letterList())
	r.pipeline.set(nil)
	r.requireGood("t")
	metadatatest.AssertEqualScopeReceiverRefusedRequests(t, r.telemetry, []metricdata.DataPoint[int64]{{Value: 3}}, metricdatatest.IgnoreTimestamp())
}

// A transient error in the middle of the search leaves what was settled, and
// sends the rest back.
func TestTransientErrorWhileBisecting(t *testing.T) {
	r := start(t, testConfig(t), nil)
	body := ""
	for i := range 16 {
		body += at("p", fmt.Sprint("e", i), "mark", i, `"name":"n"`)
	}
	r.pipeline.set(func(td ptrace.Traces) error {
		switch {
		case contains(td, "e3"):
			return errPoison
		case contains(td, "e12"):
			return errors.New("not now")
		}
		return nil
	})
	require.Equal(t, http.StatusServiceUnavailable, r.post(body).status)
	require.Len(t, r.letterList(), 1)
	r.pipeline.set(nil)
	require.Equal(t, http.StatusOK, r.post(body).status)
	names := r.pipeline.names()
	require.Len(t, names, 15)
	require.NotContains(t, names, "e3")
	require.Len(t, r.letterList(), 1)
}

// When everything is refused for good the search ends early; all the same each
// event is kept.
func TestEverythingRefusedForGood(t *testing.T) {
	r := start(t, testConfig(t), nil)
	r.pipeline.set(func(ptrace.Traces) error { return errPoison })
	body := ""
	for i := range 2000 {
		body += at("p", fmt.Sprint("e", i), "mark", i, `"name":"n"`)
	}
	got := r.post(body)
	require.Equal(t, http.StatusOK, got.status, got.text)
	require.Len(t, r.letterList(), 2000)
	require.Less(t, r.pipeline.calls, 3*maxCulprits)
}

func TestCut(t *testing.T) {
	require.Equal(t, "short", cut("short"))
	require.Equal(t, strings.Repeat("x", 199)+"…", cut(strings.Repeat("x", 199)+"äöü"), "never in the middle of a character")
}

func TestHalve(t *testing.T) {
	entry := func(n int) piece { return piece{to: n} }
	for _, c := range []struct {
		pieces        []piece
		first, second []piece
	}{
		{[]piece{entry(2)}, []piece{{nil, 0, 1}}, []piece{{nil, 1, 2}}},
		{[]piece{entry(1), entry(1)}, []piece{entry(1)}, []piece{entry(1)}},
		{[]piece{entry(5), entry(2)}, []piece{{nil, 0, 3}}, []piece{{nil, 3, 5}, entry(2)}},
		{[]piece{entry(1), entry(4)}, []piece{entry(1), {nil, 0, 1}}, []piece{{nil, 1, 4}}},
		{[]piece{{nil, 6, 7}, {nil, 0, 1}, {nil, 3, 4}}, []piece{{nil, 6, 7}}, []piece{{nil, 0, 1}, {nil, 3, 4}}},
	} {
		first, second := halve(c.pieces)
		require.Equal(t, c.first, first)
		require.Equal(t, c.second, second)
	}
}

func TestShutdownWithRequestsUnderWay(t *testing.T) {
	r := build(t, testConfig(t))
	require.NoError(t, r.Start(t.Context(), hostWith{}))
	release := make(chan struct{})
	entered := make(chan struct{}, 10)
	r.pipeline.set(func(ptrace.Traces) error { entered <- struct{}{}; <-release; return nil })
	replies := make(chan reply, 2)
	for i := range 2 {
		go func() {
			got, err := send(http.MethodPost, r.events, strings.NewReader(mark(fmt.Sprint("u", i))))
			require.NoError(t, err)
			replies <- got
		}()
	}
	grpcErr := make(chan error, 1)
	go func() { grpcErr <- exportHTTP(r.http, otlp("s")) }()
	<-entered
	require.Eventually(t, func() bool { return r.decided() == 3 }, time.Minute, time.Millisecond)
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := r.Shutdown(ctx)
	require.ErrorContains(t, err, "a worker did not end")
	require.Less(t, time.Since(start), 5*time.Second)
	for range 2 {
		got := <-replies
		require.Equal(t, http.StatusServiceUnavailable, got.status, got.text)
		require.Contains(t, got.Error, errShutdown.Error())
		require.NotEmpty(t, got.retryAfter)
	}
	require.ErrorContains(t, <-grpcErr, "503")
	close(release)
	require.NoError(t, r.Shutdown(t.Context()), "once is enough")
}

// A client that never finishes its request does not keep the receiver.
func TestShutdownWithSlowClients(t *testing.T) {
	cfg := testConfig(t)
	cfg.Timeout = 200 * time.Millisecond
	r := build(t, cfg)
	require.NoError(t, r.Start(t.Context(), hostWith{}))
	conn, err := net.Dial("tcp", cfg.Protocols.Events.Get().NetAddr.Endpoint)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
	require.NoError(t, err)
	r.requireGood("other") // by now the server reads the first request
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, r.Shutdown(ctx))
	require.NoError(t, ctx.Err(), "the configured timeout bounds it")
}

// Nor does a client that keeps an OTLP server busy.
func TestShutdownWithStuckOTLP(t *testing.T) {
	cfg := testConfig(t)
	cfg.Timeout = 200 * time.Millisecond
	r := build(t, cfg)
	require.NoError(t, r.Start(t.Context(), hostWith{}))
	stock := r.otlp
	leave := make(chan struct{})
	r.otlp = stuckShutdown{stock, leave}
	require.ErrorContains(t, r.Shutdown(t.Context()), "the OTLP servers did not end")
	close(leave)
	require.NoError(t, stock.Shutdown(t.Context()))
}

type stuckShutdown struct {
	receiver.Traces
	leave chan struct{}
}

func (s stuckShutdown) Shutdown(context.Context) error {
	<-s.leave
	return nil
}

func TestShutdownDrains(t *testing.T) {
	cfg := testConfig(t)
	cfg.Acknowledge = acknowledgeBuffered
	r := build(t, cfg)
	require.NoError(t, r.Start(t.Context(), hostWith{}))
	var once sync.Once
	entered, release := make(chan struct{}), make(chan struct{})
	r.pipeline.set(func(ptrace.Traces) error { once.Do(func() { close(entered) }); <-release; return nil })
	for i := range 10 {
		require.Equal(t, http.StatusOK, r.post(mark(fmt.Sprint("d", i))).status)
	}
	<-entered
	done := make(chan error)
	go func() { done <- r.Shutdown(context.Background()) }()
	close(release)
	require.NoError(t, <-done)
	require.Len(t, r.pipeline.names(), 10, "what was acknowledged is handed on")
}

func TestShutdownBeforeStart(t *testing.T) {
	r := build(t, testConfig(t))
	require.NoError(t, r.Shutdown(t.Context()))
	require.NoError(t, r.Shutdown(t.Context()))
}
