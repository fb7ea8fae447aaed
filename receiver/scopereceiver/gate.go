package scopereceiver

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/configmiddleware"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"

	"github.com/otelscope/otelscope/internal/ring"
)

// gate stands in front of a server and turns requests away before they are
// read: when the ring has no room for one of that client, and when so many are
// being received at once that their memory would matter. The ring counts what
// it holds; what is still being read and decoded is counted here.
//
// In front of the embedded otlp receiver it is a middleware of that receiver's
// servers, listed among the extensions of the host that the receiver is shown
// and nowhere else.
type gate struct {
	component.StartFunc
	component.ShutdownFunc

	full    func(client uint64, bytes, ahead int64) bool // as ring.Full
	refused func()                                       // counts; for what is behind the gate as a middleware
	senders *senders
	ahead   *atomic.Int64       // bytes on their way to the ring, through all gates
	ring    int64               // bytes of the whole ring
	memory  *semaphore.Weighted // bytes of what is being received
	most    int64               // of memory

	// What requests came to in the ring, lately: bytes of one, and bytes for
	// each byte of its body (bits of a float64).
	size   atomic.Int64
	factor atomic.Uint64
}

// receiving is which part of the ring's memory may be taken, in front of each
// kind of server, by what has not come as far as the ring.
const receiving = 1.0 / 6

// newGate stands before a ring of so many bytes.
func newGate(full func(client uint64, bytes, ahead int64) bool, refused func(), senders *senders, ahead *atomic.Int64, ring int64) *gate {
	most := int64(receiving * float64(ring))
	g := &gate{full: full, refused: refused, senders: senders, ahead: ahead, ring: ring, memory: semaphore.NewWeighted(most), most: most}
	g.factor.Store(math.Float64bits(1 + decodedFactor))
	return g
}

var (
	_ extensionmiddleware.GRPCServer = (*gate)(nil)
	_ extensionmiddleware.HTTPServer = (*gate)(nil)
)

const (
	// receiveTime is for how long a request counts as being received. Slow
	// clients must not take all places for ever.
	receiveTime = 10 * time.Second
	// enterTime is for how long a request waits for a place where it can.
	enterTime = 500 * time.Millisecond
)

// place is what a request that is being received holds.
type place struct {
	gate  *gate
	from  string // the other end of its connection
	body  int64  // its length in bytes, at most 0 if that is not known
	bytes int64  // of the gate's memory
	timer *time.Timer
	once  sync.Once
}

// leave gives the place back; only the first call counts.
func (p *place) leave() {
	p.timer.Stop()
	p.free()
}

func (p *place) free() {
	p.once.Do(func() {
		p.gate.ahead.Add(-p.bytes)
		p.gate.memory.Release(p.bytes)
	})
}

// expected is how many bytes a request will come to in the ring: not more than
// the ring has, unless its body has, which alone is certain.
func (g *gate) expected(body int64) int64 {
	if body <= 0 {
		return g.size.Load()
	}
	return max(body, min(g.ring, int64(math.Float64frombits(g.factor.Load())*float64(body))))
}

// enter returns a place for a request whose body has this length, or at most 0
// if that is not known, or says why there is none. With wait it waits for
// others to leave, in turn.
func (g *gate) enter(ctx context.Context, from string, body int64, wait bool) (*place, error) {
	bytes := g.expected(body)
	p := &place{gate: g, from: from, body: body, bytes: min(bytes, g.most)}
	if err := p.take(ctx, g.senders.last(from), bytes, wait); err != nil {
		return nil, err
	}
	p.timer = time.AfterFunc(receiveTime, p.free)
	return p, nil
}

func (p *place) take(ctx context.Context, client uint64, bytes int64, wait bool) error {
	g := p.gate
	switch {
	case g.full(client, bytes, g.ahead.Load()):
		return ring.ErrFull
	case g.memory.TryAcquire(p.bytes):
		g.ahead.Add(p.bytes)
		return nil
	case !wait:
		return errBusy
	}
	ctx, cancel := context.WithTimeout(ctx, enterTime)
	defer cancel()
	if g.memory.Acquire(ctx, p.bytes) != nil {
		return errBusy
	}
	if g.full(client, bytes, g.ahead.Load()) {
		g.memory.Release(p.bytes)
		return ring.ErrFull
	}
	g.ahead.Add(p.bytes)
	return nil
}

type placeKey struct{}

// arrived gives back the place of a request that is in the ring: who sent it,
// and how many bytes it came to, the gate remembers.
func arrived(ctx context.Context, client uint64, bytes int64) {
	p, ok := ctx.Value(placeKey{}).(*place)
	if !ok {
		return // it came through no gate
	}
	p.leave()
	g := p.gate
	g.senders.sent(p.from, client)
	const weight = 1.0 / 16 // of one request in the mean
	size := g.size.Load()
	g.size.Store(size + int64(weight*float64(bytes-size)))
	if p.body > 0 {
		factor := math.Float64frombits(g.factor.Load())
		g.factor.Store(math.Float64bits(factor + weight*(float64(bytes)/float64(p.body)-factor)))
	}
}

// through lets one HTTP request in, or says why not.
func (g *gate) through(r *http.Request) (*http.Request, *place, error) {
	p, err := g.enter(r.Context(), r.RemoteAddr, r.ContentLength, true)
	if err != nil {
		return nil, nil, err
	}
	return r.WithContext(context.WithValue(r.Context(), placeKey{}, p)), p, nil
}

// GetGRPCServerOptions implements extensionmiddleware.GRPCServer.
func (g *gate) GetGRPCServerOptions(context.Context) ([]grpc.ServerOption, error) {
	return []grpc.ServerOption{grpc.InTapHandle(func(ctx context.Context, _ *tap.Info) (context.Context, error) {
		from := ""
		if other, ok := peer.FromContext(ctx); ok {
			from = other.Addr.String()
		}
		p, err := g.enter(ctx, from, -1, false)
		if err != nil {
			g.refused()
			return ctx, refuse(err).asStatus()
		}
		context.AfterFunc(ctx, p.leave)
		return context.WithValue(ctx, placeKey{}, p), nil
	})}, nil
}

// GetHTTPHandler implements extensionmiddleware.HTTPServer.
func (g *gate) GetHTTPHandler(context.Context) (extensionmiddleware.WrapHTTPHandlerFunc, error) {
	return func(_ context.Context, next http.Handler) (http.Handler, error) {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			let, p, err := g.through(r)
			if err != nil {
				g.refused()
				refuse(err).writeOTLP(w, r)
				linger(w, r)
				return
			}
			defer p.leave()
			next.ServeHTTP(w, let)
		}), nil
	}, nil
}

// writeOTLP answers as OTLP/HTTP has it: a Status in the request's own encoding.
func (r refusal) writeOTLP(w http.ResponseWriter, req *http.Request) {
	answer := status.New(r.code, r.reason).Proto()
	body, err := proto.Marshal(answer)
	contentType := "application/x-protobuf"
	if strings.HasPrefix(req.Header.Get("Content-Type"), "application/json") {
		contentType = "application/json"
		body, err = json.Marshal(map[string]any{"code": answer.GetCode(), "message": answer.GetMessage()})
	}
	if err != nil {
		body = nil
	}
	code := http.StatusServiceUnavailable
	if r.code == codes.ResourceExhausted {
		code = http.StatusTooManyRequests
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(r.after.Seconds()))))
	w.WriteHeader(code)
	_, _ = w.Write(body) // the client is gone: nobody to tell
}

// gatedHost is the host that the embedded receiver sees.
type gatedHost struct {
	component.Host
	id   component.ID
	gate *gate
}

// GetExtensions adds the gate.
func (h gatedHost) GetExtensions() map[component.ID]component.Component {
	all := maps.Clone(h.Host.GetExtensions())
	if all == nil {
		all = map[component.ID]component.Component{}
	}
	all[h.id] = h.gate
	return all
}

// Report implements componentstatus.Reporter.
func (h gatedHost) Report(e *componentstatus.Event) { componentstatus.ReportStatus(h.Host, e) }

// behind puts the gate first among middlewares.
func (h gatedHost) behind(others []configmiddleware.Config) []configmiddleware.Config {
	return slices.Concat([]configmiddleware.Config{{ID: h.id}}, others)
}
