package loadgen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// Sender sends one encoded request and waits for its answer. nil means that
// the server took all of it; *RefusedError that it took nothing, or not all,
// for now; *RejectedError that it never will. After any other error it is
// not known whether it did. Safe for concurrent use.
type Sender interface {
	Send(ctx context.Context, body []byte) error
}

// RefusedError says that the server wants the same request later.
type RefusedError struct {
	Reason     string
	RetryAfter time.Duration // 0 where the server did not say
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("refused (again after %s): %s", e.RetryAfter, e.Reason)
}

// RejectedError says that the server found fault with the request.
type RejectedError struct{ Reason string }

func (e *RejectedError) Error() string { return "rejected: " + e.Reason }

// GRPC sends OTLP requests as they are, without decoding or encoding them.
type GRPC struct {
	conns []*grpc.ClientConn
	next  chan int
}

const exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// NewGRPC connects to an OTLP endpoint without TLS, by n connections that take
// turns. Close ends them.
func NewGRPC(endpoint string, n int) (*GRPC, error) { return NewGRPCFrom("", endpoint, n) }

// NewGRPCFrom is NewGRPC for a client at one of the machine's addresses, for
// example 127.0.0.2; "" leaves the choice to the system.
func NewGRPCFrom(local, endpoint string, n int) (*GRPC, error) {
	g := &GRPC{next: make(chan int, 1)}
	g.next <- 0
	for range n {
		conn, err := grpc.NewClient(endpoint,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
				return dialer(local).DialContext(ctx, "tcp", address)
			}),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})),
			grpc.WithWriteBufferSize(256<<10), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connect to %q: %w", endpoint, err), g.Close())
		}
		g.conns = append(g.conns, conn)
	}
	return g, nil
}

// Close ends the connections.
func (g *GRPC) Close() error {
	var all []error
	for _, conn := range g.conns {
		all = append(all, conn.Close())
	}
	return errors.Join(all...)
}

// Send sends an encoded ExportTraceServiceRequest.
func (g *GRPC) Send(ctx context.Context, body []byte) error {
	i := <-g.next
	g.next <- (i + 1) % len(g.conns)
	var answer []byte
	err := g.conns[i].Invoke(ctx, exportMethod, &body, &answer)
	if err != nil {
		return classify(err)
	}
	return partial(answer)
}

// classify tells a refusal by the server from a failure on the way.
func classify(err error) error {
	st := status.Convert(err)
	retry, ok := retryInfo(st)
	switch {
	case ok || st.Code() == codes.ResourceExhausted:
		return &RefusedError{Reason: st.Message(), RetryAfter: retry}
	case st.Code() == codes.InvalidArgument || st.Code() == codes.Unimplemented || st.Code() == codes.Internal:
		return &RejectedError{Reason: err.Error()}
	}
	return err
}

func retryInfo(st *status.Status) (time.Duration, bool) {
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration(), true
		}
	}
	return 0, false
}

// rawCodec passes bytes through: a message is a *[]byte.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// HTTP posts bodies of one content type to one URL, over connections that it
// keeps.
type HTTP struct {
	url, contentType string
	client           *http.Client
	check            func(answer []byte) error
}

// NewHTTP returns a sender of OTLP/HTTP requests (protobuf) to url, with as
// many connections kept as n calls at once need.
func NewHTTP(url string, n int) *HTTP {
	return &HTTP{url: url, contentType: "application/x-protobuf", client: Client(n), check: partial}
}

// NewEvents returns a sender of NDJSON bodies of native events.
func NewEvents(url string, n int) *HTTP { return NewEventsFrom("", url, n) }

// NewEventsFrom is NewEvents for a client at one of the machine's addresses, as
// NewGRPCFrom has it.
func NewEventsFrom(local, url string, n int) *HTTP {
	return &HTTP{url: url, contentType: "application/x-ndjson", client: clientFrom(local, n), check: accepted}
}

// Client returns an HTTP client that keeps n connections to one host.
func Client(n int) *http.Client { return clientFrom("", n) }

func dialer(local string) *net.Dialer {
	d := &net.Dialer{Timeout: 5 * time.Second}
	if local != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
	}
	return d
}

func clientFrom(local string, n int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConns: n, MaxIdleConnsPerHost: n, DisableCompression: true,
		WriteBufferSize: 256 << 10,
		DialContext:     dialer(local).DialContext,
	}}
}

// Close ends connections that nobody uses.
func (h *HTTP) Close() error {
	h.client.CloseIdleConnections()
	return nil
}

// Send posts one body.
func (h *HTTP) Send(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header["Content-Type"] = []string{h.contentType}
	resp, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	switch {
	case resp.StatusCode == http.StatusOK:
		return h.check(answer)
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return &RefusedError{Reason: excerpt(resp.Status, answer), RetryAfter: time.Duration(seconds) * time.Second}
	case resp.StatusCode < 500:
		return &RejectedError{Reason: excerpt(resp.Status, answer)}
	}
	return errors.New(excerpt(resp.Status, answer))
}

func excerpt(code string, answer []byte) string {
	return code + ": " + string(answer[:min(len(answer), 300)])
}
