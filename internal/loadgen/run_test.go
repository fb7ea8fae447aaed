package loadgen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeOTLP is a real gRPC server with an answer of our choice.
type fakeOTLP struct {
	ptraceotlp.UnimplementedGRPCServer
	spans  atomic.Int64
	answer func() (ptraceotlp.ExportResponse, error)
}

func (f *fakeOTLP) Export(_ context.Context, req ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	resp, err := f.answer()
	if err == nil {
		f.spans.Add(int64(req.Traces().SpanCount()))
	}
	return resp, err
}

func well() (ptraceotlp.ExportResponse, error) { return ptraceotlp.NewExportResponse(), nil }

func serveOTLP(t testing.TB, f *fakeOTLP) string {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(srv, f)
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(lis) }()
	t.Cleanup(func() { srv.Stop(); <-done })
	return lis.Addr().String()
}

func spanWorkers(s Sender, n int) []Worker {
	workers := make([]Worker, n)
	for i := range workers {
		tmpl := Spans(1, i, 50)
		workers[i] = Worker{Sender: s, Items: tmpl.Items, Next: func(k uint64) []byte {
			return tmpl.Fill(uint64(i)<<40|k, time.Now().UnixNano())
		}}
	}
	return workers
}

func TestClosedLoopOverGRPC(t *testing.T) {
	fake := &fakeOTLP{answer: well}
	g, err := NewGRPC(serveOTLP(t, fake), 2)
	require.NoError(t, err)
	defer g.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var sent atomic.Int64
	workers := spanWorkers(g, 4)
	for i := range workers {
		workers[i].Sent = func(uint64) {
			if sent.Add(1) == 100 {
				cancel()
			}
		}
	}
	var m Meter
	require.NoError(t, Closed(ctx, &m, workers))
	require.GreaterOrEqual(t, m.Requests.Load(), int64(100))
	require.Equal(t, fake.spans.Load(), m.Items.Load(), "what is in flight at the end is waited for")
	require.EqualValues(t, m.Requests.Load(), m.Latency.Counts().Total())
}

func TestGRPCAnswers(t *testing.T) {
	fake := &fakeOTLP{}
	g, err := NewGRPC(serveOTLP(t, fake), 1)
	require.NoError(t, err)
	defer g.Close()
	body := Spans(1, 0, 10).Fill(1, now)
	send := func(answer func() (ptraceotlp.ExportResponse, error)) error {
		fake.answer = answer
		return g.Send(t.Context(), body)
	}
	fails := func(code codes.Code, retry time.Duration) func() (ptraceotlp.ExportResponse, error) {
		return func() (ptraceotlp.ExportResponse, error) {
			st := status.New(code, "full")
			if retry > 0 {
				st, _ = st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retry)})
			}
			return ptraceotlp.NewExportResponse(), st.Err()
		}
	}
	var refused *RefusedError
	require.ErrorAs(t, send(fails(codes.Unavailable, 2*time.Second)), &refused)
	require.Equal(t, 2*time.Second, refused.RetryAfter)
	require.ErrorAs(t, send(fails(codes.ResourceExhausted, 0)), &refused)
	require.ErrorContains(t, refused, "full")
	var rejected *RejectedError
	require.ErrorAs(t, send(fails(codes.InvalidArgument, 0)), &rejected)
	err = send(fails(codes.Unavailable, 0))
	require.False(t, errors.As(err, &refused) || errors.As(err, &rejected), "%v: not known", err)
	require.ErrorAs(t, send(func() (ptraceotlp.ExportResponse, error) {
		resp := ptraceotlp.NewExportResponse()
		resp.PartialSuccess().SetRejectedSpans(3)
		resp.PartialSuccess().SetErrorMessage("no")
		return resp, nil
	}), &rejected)
	require.ErrorContains(t, rejected, "3 spans: no")
	require.NoError(t, send(well))
	require.Error(t, partial([]byte("nonsense")))
	require.NoError(t, partial([]byte("\x0a\x02\x12\x00")), "an empty partial success")
	_, err = NewGRPC("\x00", 1)
	require.Error(t, err)
}

func TestHTTPAnswers(t *testing.T) {
	var answer http.HandlerFunc
	var bodies atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		bodies.Add(n)
		answer(w, r)
	}))
	defer srv.Close()
	events, otlp := NewEvents(srv.URL, 1), NewHTTP(srv.URL, 1)
	defer events.Close()
	defer otlp.Close()
	says := func(code int, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	var refused *RefusedError
	var rejected *RejectedError
	for _, c := range []struct {
		name   string
		sender Sender
		answer http.HandlerFunc
		check  func(err error)
	}{
		{"taken", events, says(200, `{"accepted":3,"rejected":[]}`), func(err error) { require.NoError(t, err) }},
		{"one rejected", events, says(200, `{"accepted":2,"rejected":[{"index":1,"id":"e","error":"kind: no"}]}`), func(err error) {
			require.ErrorAs(t, err, &rejected)
			require.ErrorContains(t, err, "kind: no")
		}},
		{"no count", events, says(200, `hello`), func(err error) { require.ErrorContains(t, err, "hello") }},
		{"refused", events, says(429, `full`, "Retry-After", "3"), func(err error) {
			require.ErrorAs(t, err, &refused)
			require.Equal(t, 3*time.Second, refused.RetryAfter)
		}},
		{"unavailable", otlp, says(503, ``), func(err error) { require.ErrorAs(t, err, &refused) }},
		{"bad", otlp, says(400, `why`), func(err error) { require.ErrorAs(t, err, &rejected); require.ErrorContains(t, err, "why") }},
		{"broken", otlp, says(500, `why`), func(err error) { require.ErrorContains(t, err, "500"); require.False(t, errors.As(err, &rejected)) }},
		{"otlp taken", otlp, says(200, ``), func(err error) { require.NoError(t, err) }},
		{"cut short", otlp, says(200, `x`, "Content-Length", "10"), func(err error) { require.Error(t, err) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			rejected, refused = nil, nil
			answer = c.answer
			c.check(c.sender.Send(t.Context(), []byte("body")))
		})
	}
	require.NotZero(t, bodies.Load())
	require.Error(t, NewHTTP("http://127.0.0.1:1", 1).Send(t.Context(), nil))
	require.Error(t, NewHTTP(":", 1).Send(t.Context(), nil))
}

type senderFunc func(body []byte) error

func (f senderFunc) Send(_ context.Context, body []byte) error { return f(body) }

func TestRefusedIsSentAgainAndErrorsEndTheLoad(t *testing.T) {
	var m Meter
	var calls int
	boom := errors.New("boom")
	w := Worker{Items: 1, Next: func(n uint64) []byte { return []byte{byte(n)} }, Sender: senderFunc(func(body []byte) error {
		calls++
		switch {
		case calls == 1:
			return &RefusedError{RetryAfter: time.Nanosecond}
		case body[0] == 3:
			return boom
		}
		return nil
	})}
	require.Equal(t, boom, Closed(t.Context(), &m, []Worker{w}))
	require.EqualValues(t, 1, m.Refused.Load())
	require.EqualValues(t, 3, m.Items.Load())
}

func TestOpenLoopKeepsItsRateAndCountsFromWhenDue(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var m Meter
	first := true
	stall := 50 * time.Millisecond
	w := Worker{Items: 1, Next: func(uint64) []byte { return nil }, Sender: senderFunc(func([]byte) error {
		if first {
			first = false
			time.Sleep(stall) // the stall of a server, which the next requests must feel
		}
		if m.Requests.Load() == 19 {
			cancel()
		}
		return nil
	})}
	begin := time.Now()
	require.NoError(t, Open(ctx, &m, 1000, []Worker{w}))
	require.GreaterOrEqual(t, time.Since(begin), stall)
	require.Greater(t, m.Latency.Counts().Quantile(0.5), stall/2, "requests due during the stall were late")
}

func TestOpenLoopEndsWhileWaiting(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var m Meter
	w := Worker{Next: func(uint64) []byte { return nil }, Sender: senderFunc(func([]byte) error { return &RefusedError{} })}
	require.NoError(t, Open(ctx, &m, 1, []Worker{w}))
	require.Error(t, Open(t.Context(), &m, 1e6, []Worker{{Next: w.Next, Sender: senderFunc(func([]byte) error { return io.EOF })}}))
}

func BenchmarkSendGRPC500(b *testing.B) {
	g, err := NewGRPC(serveOTLP(b, &fakeOTLP{answer: well}), 2)
	require.NoError(b, err)
	defer g.Close()
	tmpl := Spans(1, 0, 500)
	b.ReportAllocs()
	seq := uint64(0)
	for b.Loop() {
		seq++
		require.NoError(b, g.Send(b.Context(), tmpl.Fill(seq, now)))
	}
}
