package scopereceiver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"google.golang.org/grpc/codes"

	"github.com/otelscope/otelscope/internal/ring"
	"github.com/otelscope/otelscope/receiver/scopereceiver/internal/metadatatest"
)

// stuck is a receiver with one worker whose pipeline waits, behind a ring of
// ten items and ten MiB: one item is with the worker.
func stuck(t *testing.T, overflow, acknowledge string) (r *rig, release func()) {
	cfg := testConfig(t)
	cfg.Ring.MaxItems, cfg.Ring.MaxBytes, cfg.Ring.Overflow, cfg.Acknowledge = 10, 10<<20, overflow, acknowledge
	cfg.Workers = WorkersConfig{Min: 1, Max: 1}
	r = start(t, cfg, nil)
	entered, hold := make(chan struct{}, 1), make(chan struct{})
	r.pipeline.set(func(ptrace.Traces) error {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-hold
		return nil
	})
	r.send("first", 1, "normal")
	<-entered
	return r, func() { close(hold) }
}

// send posts n marks of one process in the background; ids are name and a
// number. It returns when the ring has decided about them.
func (r *rig) send(name string, n int, priority string) <-chan reply {
	r.t.Helper()
	body := ""
	for i := range n {
		body += at(name, fmt.Sprint(name, i), "mark", i, fmt.Sprintf(`"name":"n","priority":%q`, priority))
	}
	before := r.decided()
	replies := make(chan reply, 1)
	go func() {
		got, err := send(http.MethodPost, r.events, strings.NewReader(body))
		if err != nil {
			got.text = err.Error()
		}
		replies <- got
	}()
	require.Eventually(r.t, func() bool { return r.decided() > before }, time.Minute, time.Millisecond)
	return replies
}

func (r *rig) decided() int64 {
	s := r.ring.Stats()
	return s.AcceptedItems + s.RefusedItems + s.DroppedItems + int64(s.Blocked)
}

func requireReply(t *testing.T, replies <-chan reply, status int, text string) {
	t.Helper()
	got := <-replies
	require.Equal(t, status, got.status, got.text)
	require.Contains(t, got.text, text)
	require.Equal(t, status != http.StatusOK, got.retryAfter != "")
}

func TestOverflowRefuse(t *testing.T) {
	r, release := stuck(t, "refuse", acknowledgeStored)
	waiting := r.send("a", 9, "normal")
	before := r.decided()
	full := r.post(mark("b"))
	require.Equal(t, http.StatusTooManyRequests, full.status)
	require.Contains(t, full.Error, ring.ErrFull.Error())
	require.Contains(t, []string{"1", "2"}, full.retryAfter)
	require.Equal(t, int64(1), r.counts.refusedRequests.Load())
	r.expire()
	require.Equal(t, before, r.decided(), "housekeeping stays out of a ring that fills")
	requireRetry(t, exportGRPC(t, r.grpc, otlp("x")), codes.ResourceExhausted)
	require.ErrorContains(t, exportHTTP(r.http, otlp("x")), "429, Retry-After")
	require.Equal(t, int64(3), r.counts.refusedRequests.Load())
	require.Equal(t, before, r.decided(), "none of them has come as far as the ring")
	metadatatest.AssertEqualScopeReceiverRingFill(t, r.telemetry, []metricdata.DataPoint[float64]{{Value: 1}}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualScopeReceiverRingItems(t, r.telemetry, []metricdata.DataPoint[int64]{{Value: 10}}, metricdatatest.IgnoreTimestamp())
	release()
	requireReply(t, waiting, 200, `"accepted":9`)
	r.requireGood("after")

	tooLarge := r.post(strings.Repeat(mark("x"), 11))
	require.Equal(t, http.StatusRequestEntityTooLarge, tooLarge.status)
	require.Contains(t, tooLarge.Error, "in smaller pieces")
	require.Empty(t, tooLarge.retryAfter)
}

// A request for which there is no room is neither read nor decoded. A
// connection with a small rest of a body lives on, one with a large rest ends.
func TestRefuseBeforeReading(t *testing.T) {
	r, release := stuck(t, "refuse", acknowledgeStored)
	waiting := r.send("a", 9, "normal")
	conn, err := net.Dial("tcp", r.cfg.Protocols.Events.Get().NetAddr.Endpoint)
	require.NoError(t, err)
	defer conn.Close()
	answers := bufio.NewReader(conn)
	request := func(length int, body string) *http.Response {
		t.Helper()
		_, err := fmt.Fprintf(conn, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", length, body)
		require.NoError(t, err)
		res, err := http.ReadResponse(answers, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		return res
	}
	const broken = "this is not JSON"
	for range 3 {
		res := request(len(broken), broken)
		require.Equal(t, http.StatusTooManyRequests, res.StatusCode)
		require.NotEmpty(t, res.Header.Get("Retry-After"))
		require.False(t, res.Close)
	}
	release()
	requireReply(t, waiting, 200, `"accepted":9`)
	require.Equal(t, http.StatusBadRequest, request(len(broken), broken).StatusCode, "the same connection")
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))

	hold := make(chan struct{})
	r.pipeline.set(func(ptrace.Traces) error { <-hold; return nil })
	last := r.send("last", 1, "normal")
	res := request(10<<20-100, "")
	require.Equal(t, http.StatusTooManyRequests, res.StatusCode, "without its body")
	require.True(t, res.Close)
	close(hold)
	requireReply(t, last, 200, `"accepted":1`)
	require.Equal(t, int64(4), r.counts.refusedRequests.Load())
}

func TestOverflowBlock(t *testing.T) {
	r, release := stuck(t, "block", acknowledgeStored)
	waiting := r.send("a", 9, "normal")
	blocked := r.send("b", 5, "normal")
	require.Equal(t, 1, r.ring.Stats().Blocked)
	release()
	requireReply(t, waiting, 200, `"accepted":9`)
	requireReply(t, blocked, 200, `"accepted":5`)
}

func TestOverflowBlockGivesUp(t *testing.T) {
	r, release := stuck(t, "block", acknowledgeBuffered)
	r.feed.timeout = 50 * time.Millisecond
	requireReply(t, r.send("a", 9, "normal"), 200, `"accepted":9`)
	requireReply(t, r.send("b", 5, "normal"), 503, errTimeout.Error())
	release()
}

func TestOverflowDropOldest(t *testing.T) {
	r, release := stuck(t, "drop_oldest", acknowledgeStored)
	dropped := r.send("a", 9, "high")
	kept := r.send("b", 5, "low")
	requireReply(t, dropped, 429, ring.ErrDropped.Error())
	release()
	requireReply(t, kept, 200, `"accepted":5`)
	require.NotContains(t, r.pipeline.names(), "a0")
	again := r.send("a", 9, "high")
	requireReply(t, again, 200, `"accepted":9`)
	require.Contains(t, r.pipeline.names(), "a0", "what was dropped is not recognised: it is taken when it comes again")
	metadatatest.AssertEqualScopeReceiverRingDroppedItems(t, r.telemetry, []metricdata.DataPoint[int64]{{Value: 9}}, metricdatatest.IgnoreTimestamp())
}

func TestOverflowDropNewest(t *testing.T) {
	for acknowledge, status := range map[string]int{acknowledgeStored: 429, acknowledgeBuffered: 200} {
		t.Run(acknowledge, func(t *testing.T) {
			r, release := stuck(t, "drop_newest", acknowledge)
			waiting := r.send("a", 9, "low")
			requireReply(t, r.send("b", 5, "high"), status, "")
			require.Equal(t, int64(5), r.ring.Stats().DroppedItems)
			release()
			requireReply(t, waiting, 200, `"accepted":9`)
			require.NotContains(t, r.pipeline.names(), "b0")
		})
	}
}

func TestOverflowByPriority(t *testing.T) {
	r, release := stuck(t, "by_priority", acknowledgeStored)
	low, normal := r.send("low", 4, "low"), r.send("normal", 5, "normal")
	requireReply(t, r.send("late", 1, "low"), 429, ring.ErrFull.Error())
	high := r.send("high", 3, "high")
	requireReply(t, low, 429, ring.ErrDropped.Error())
	release()
	requireReply(t, normal, 200, `"accepted":5`)
	requireReply(t, high, 200, `"accepted":3`)
}

// Workers come with the backlog, and batches grow with it.
func TestWorkersScale(t *testing.T) {
	cfg := testConfig(t)
	cfg.Acknowledge = acknowledgeBuffered
	cfg.Batch = BatchConfig{MinSize: 1, MaxSize: 20, MaxDelay: 0}
	cfg.Workers = WorkersConfig{Min: 1, Max: 5}
	r := start(t, cfg, nil)
	hold := make(chan struct{})
	r.pipeline.set(func(ptrace.Traces) error { <-hold; return nil })
	for i := range 50 {
		body := ""
		for j := range 10 {
			body += mark(fmt.Sprint("m", i, "-", j))
		}
		require.Equal(t, http.StatusOK, r.post(body).status)
	}
	require.Eventually(t, func() bool { return r.pool.count() == 5 }, time.Minute, time.Millisecond)
	require.Equal(t, 20, batchTarget(r.pool.load(), cfg.Batch))
	metadatatest.AssertEqualScopeReceiverWorkers(t, r.telemetry, []metricdata.DataPoint[int64]{{Value: 5}}, metricdatatest.IgnoreTimestamp())
	close(hold)
	require.Eventually(t, func() bool { return len(r.pipeline.names()) == 500 }, time.Minute, time.Millisecond)

	// Workers that are not needed end without losing anything.
	require.NoError(t, r.pool.SetWorkers(1, 1))
	require.Equal(t, 1, r.pool.count())
	r.requireTaken("after")
}

func (r *rig) requireTaken(id string) {
	r.t.Helper()
	require.Equal(r.t, http.StatusOK, r.post(mark(id)).status)
	require.Eventually(r.t, func() bool {
		names := r.pipeline.names()
		return len(names) > 0 && names[len(names)-1] == id
	}, time.Minute, time.Millisecond)
}

func TestExpireIdle(t *testing.T) {
	cfg := testConfig(t)
	cfg.Dedup.Window = 20 * time.Millisecond
	r := start(t, cfg, nil)
	require.Equal(t, http.StatusOK, r.post(mark("old")).status)
	require.Equal(t, 1, r.handler.stats().DedupEntries)
	require.Eventually(t, func() bool { return r.handler.stats().DedupEntries == 0 }, time.Minute, 5*time.Millisecond)
	metadatatest.AssertEqualScopeReceiverDedupEntries(t, r.telemetry, []metricdata.DataPoint[int64]{{Value: 0}}, metricdatatest.IgnoreTimestamp())
	require.NoError(t, r.Shutdown(context.Background()))
}

func TestMetrics(t *testing.T) {
	r := start(t, testConfig(t), nil)
	body := at("p", "c", "call", 1, `"name":"f"`) + at("q", "r", "return", 2, `"name":"f"`) + `{"kind":"cal"}`
	for range 2 {
		require.Equal(t, http.StatusOK, r.post(body).status)
	}
	require.Equal(t, http.StatusOK, r.post(at("p", "x", "exit", 3, "")).status)
	point := func(v int64) []metricdata.DataPoint[int64] { return []metricdata.DataPoint[int64]{{Value: v}} }
	metadatatest.AssertEqualScopeReceiverAcceptedEvents(t, r.telemetry, point(5), metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualScopeReceiverRejectedEvents(t, r.telemetry, point(2), metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualScopeReceiverDuplicateEvents(t, r.telemetry, point(2), metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualScopeReceiverOpenCalls(t, r.telemetry, point(0), metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualScopeReceiverOrphanReturns(t, r.telemetry, point(1), metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualScopeReceiverAbandonedCalls(t, r.telemetry, point(1), metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualScopeReceiverUnwoundCalls(t, r.telemetry, point(0), metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualScopeReceiverStoredDeadLetters(t, r.telemetry, point(2), metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualScopeReceiverRingBytes(t, r.telemetry, point(0), metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	require.Eventually(t, func() bool { return r.pool.sizes.count() == 3 }, time.Minute, time.Millisecond)
	sizes, err := r.telemetry.GetMetric("otelcol_scope_receiver_batch_size")
	require.NoError(t, err)
	require.Equal(t, uint64(3), sizes.Data.(metricdata.Histogram[int64]).DataPoints[0].Count)
	spans, err := r.telemetry.GetMetric("otelcol_receiver_accepted_spans")
	require.NoError(t, err)
	require.Equal(t, int64(5), spans.Data.(metricdata.Sum[int64]).DataPoints[0].Value)
}
