package scopereceiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/otelscope/otelscope/internal/ring"
	"github.com/otelscope/otelscope/internal/store"
)

// exportHTTP sends OTLP protobuf; an answer that is not 200 is an error that
// has its status and Retry-After.
func exportHTTP(url string, td ptrace.Traces) error {
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	if err != nil {
		return err
	}
	res, err := httpClient.Post(url, "application/x-protobuf", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%d, Retry-After %q: %s", res.StatusCode, res.Header.Get("Retry-After"), text)
	}
	return nil
}

func exportGRPC(t *testing.T, address string, td ptrace.Traces) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	_, err = ptraceotlp.NewGRPCClient(conn).Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(td))
	return err
}

func TestOTLP(t *testing.T) {
	r := start(t, testConfig(t), nil)
	require.NoError(t, exportGRPC(t, r.grpc, otlp("g1", "g2", "g3")))
	require.NoError(t, exportHTTP(r.http, otlp("h1", "h2")))
	require.NoError(t, exportHTTP(r.http, ptrace.NewTraces()))
	require.ElementsMatch(t, []string{"g1", "g2", "g3", "h1", "h2"}, r.pipeline.names())

	r.pipeline.set(func(ptrace.Traces) error { return errors.New("not now") })
	requireRetry(t, exportGRPC(t, r.grpc, otlp("g4")), codes.Unavailable)
	err := exportHTTP(r.http, otlp("h4"))
	require.ErrorContains(t, err, "503, Retry-After")
	require.NotContains(t, err.Error(), `Retry-After ""`)

	r.pipeline.set(func(ptrace.Traces) error { return status.Error(codes.ResourceExhausted, "shedding") })
	requireRetry(t, exportGRPC(t, r.grpc, otlp("g4")), codes.ResourceExhausted)
	require.ErrorContains(t, exportHTTP(r.http, otlp("h4")), "429, Retry-After")

	r.pipeline.set(func(td ptrace.Traces) error {
		if contains(td, "g5") {
			return errPoison
		}
		return nil
	})
	require.NoError(t, exportGRPC(t, r.grpc, otlp("g4", "g5", "g6")), "a dead letter is an answer, too")
	require.Subset(t, r.pipeline.names(), []string{"g4", "g6"})
	require.Len(t, r.letterList(), 1)
}

func requireRetry(t *testing.T, err error, code codes.Code) {
	t.Helper()
	s, ok := status.FromError(err)
	require.True(t, ok, "%v", err)
	require.Equal(t, code, s.Code(), "%v", err)
	require.Len(t, s.Details(), 1)
	delay := s.Details()[0].(*errdetails.RetryInfo).GetRetryDelay().AsDuration()
	require.GreaterOrEqual(t, delay, time.Second)
	require.Zero(t, delay%time.Second, "servers cut it to whole seconds")
}

func TestRefuse(t *testing.T) {
	for _, c := range []struct {
		err         error
		code        codes.Code
		least, most time.Duration
	}{
		{ring.ErrFull, codes.ResourceExhausted, 1, 2},
		{ring.ErrDropped, codes.ResourceExhausted, 1, 2},
		{ring.ErrClosed, codes.Unavailable, 1, 2},
		{fmt.Errorf("export: %w", &store.UnavailableError{Reason: "disk full", RetryAfter: 4500 * time.Millisecond}), codes.Unavailable, 5, 10},
		{retryInfo(t, codes.ResourceExhausted, 3*time.Second), codes.ResourceExhausted, 3, 6},
		{retryInfo(t, codes.Unavailable, time.Millisecond), codes.Unavailable, 1, 2},
		{context.DeadlineExceeded, codes.Unavailable, 1, 2},
		{&ring.TooLargeError{}, codes.InvalidArgument, 0, 0},
		{consumererror.NewPermanent(errors.New("x")), codes.InvalidArgument, 0, 0},
	} {
		for range 20 {
			r := refuse(c.err)
			require.Equal(t, c.code, r.code, "%v", c.err)
			require.GreaterOrEqual(t, r.after, c.least*time.Second)
			require.LessOrEqual(t, r.after, c.most*time.Second)
			require.NotEmpty(t, r.reason)
			require.Equal(t, c.code, status.Code(r.asStatus()))
		}
	}
}

func retryInfo(t *testing.T, code codes.Code, after time.Duration) error {
	s, err := status.New(code, "later").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
	require.NoError(t, err)
	return s.Err()
}

// Under pressure the ring keeps only the encoding; nothing is lost by that.
func TestOTLPUnderPressureKeepsBytesOnly(t *testing.T) {
	cfg := testConfig(t)
	cfg.Ring.MaxBytes = 1 << 20
	r := start(t, cfg, nil)
	parts, err := r.feed.splitTraces(otlp("a", "b"))
	require.NoError(t, err)
	require.True(t, parts[0].Work.fresh)
	require.Equal(t, int64(len(parts[0].Work.wire))*(1+decodedFactor), parts[0].Bytes)

	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("a longer name of a span, number %d", i))
	}
	parts, err = r.feed.splitTraces(otlp(names...))
	require.NoError(t, err)
	require.False(t, parts[0].Work.fresh)
	require.Equal(t, int64(len(parts[0].Work.wire)), parts[0].Bytes)
	require.NoError(t, exportHTTP(r.http, otlp(names...)))
	require.Equal(t, names, r.pipeline.names())
}
