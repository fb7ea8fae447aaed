package main

import (
	"context"
	"encoding/binary"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/otelscope/otelscope/internal/causal"
)

// manner is how a sink answers.
type manner int32

const (
	good manner = iota
	failing
	hanging
	flapping // good and failing by turns
)

var mannerNames = map[manner]string{good: "good", failing: "fail", hanging: "hang", flapping: "flap"}

const flapEvery = 2 * time.Second

// sink is an OTLP back end that can misbehave. It remembers the spans of the
// requests that it said yes to.
type sink struct {
	ptraceotlp.UnimplementedGRPCServer
	server  *grpc.Server
	address string
	manner  atomic.Int32
	begin   time.Time
	refused atomic.Int64 // requests

	mu      sync.Mutex
	seen    map[uint64]struct{} // by place number
	again   int64               // spans that came once more
	foreign int64               // spans that say no place
}

func newSink() (*sink, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{server: grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20)), address: lis.Addr().String(), begin: time.Now(), seen: map[uint64]struct{}{}}
	ptraceotlp.RegisterGRPCServer(s.server, s)
	go func() { _ = s.server.Serve(lis) }()
	return s, nil
}

func (s *sink) become(m manner) { s.manner.Store(int32(m)) }

// Export takes a request as the sink's manner has it.
func (s *sink) Export(ctx context.Context, req ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	m := manner(s.manner.Load())
	if m == flapping && time.Since(s.begin)/flapEvery%2 == 1 {
		m = failing
	}
	switch m {
	case failing:
		s.refused.Add(1)
		return ptraceotlp.NewExportResponse(), grpcstatus.Error(codes.Unavailable, "the back end fails on purpose")
	case hanging:
		s.refused.Add(1)
		<-ctx.Done()
		return ptraceotlp.NewExportResponse(), ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range req.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				s.take(span)
			}
		}
	}
	return ptraceotlp.NewExportResponse(), nil
}

func (s *sink) take(span ptrace.Span) {
	if state, ok := span.Attributes().Get(causal.AttrCallState); ok && state.Str() == causal.CallOpen {
		return
	}
	id := span.SpanID()
	number := binary.BigEndian.Uint64(id[:])
	if text, ok := span.Attributes().Get(causal.AttrEventID); ok {
		var err error
		if number, err = strconv.ParseUint(text.Str(), 16, 64); err != nil {
			s.foreign++
			return
		}
	}
	if _, ok := s.seen[number]; ok {
		s.again++
	}
	s.seen[number] = struct{}{}
}

// missing counts the acknowledged spans of a ledger that the sink has not said
// yes to.
func (s *sink) missing(l *ledger) (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := l.first(); i < l.groups(); i++ {
		if l.of(i) != acked {
			continue
		}
		for hop := range hops {
			for chain := range l.chains {
				for role := range roles {
					p := place{lane: l.lane, group: i - uint64(hop*l.lag), chain: chain, hop: hop, role: role}
					if _, ok := s.seen[p.number()]; !ok && hopRoles(l.native, hop)&(1<<role) != 0 {
						n++
					}
				}
			}
		}
	}
	return n
}
