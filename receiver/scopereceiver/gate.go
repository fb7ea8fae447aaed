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
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"

	"github.com/otelscope/otelscope/internal/ring"
)

// gate stands in front of the embedded otlp receiver and turns requests away
// before they are read: when the ring has no room for one, and when so many are
// being received at once that their memory would matter. The ring counts what
// it holds; what is still being read and decoded is counted here.
//
// It is a middleware of that receiver's servers, listed among the extensions of
// the host that the receiver is shown and nowhere else.
type gate struct {
	component.StartFunc
	component.ShutdownFunc

	full    func(bytes int64) bool // the ring has no room for a request of this size
	refused func()
	budget  int64 // bytes, of all that is being received

	receiving atomic.Int64 // requests
	size      atomic.Int64 // encoded bytes of a request, lately
}

var (
	_ extensionmiddleware.GRPCServer = (*gate)(nil)
	_ extensionmiddleware.HTTPServer = (*gate)(nil)
)

// receiveTime is for how long a request counts as being received. Slow clients
// must not take all places for ever.
const receiveTime = 10 * time.Second

// place is what a request that is being received holds.
type place struct {
	gate  *gate
	timer *time.Timer
	once  sync.Once
}

// leave gives the place back; only the first call counts.
func (p *place) leave() {
	p.timer.Stop()
	p.free()
}

func (p *place) free() { p.once.Do(func() { p.gate.receiving.Add(-1) }) }

// enter returns a place, or why there is none.
func (g *gate) enter() (*place, error) {
	size := g.size.Load()
	if g.full(size) {
		g.refused()
		return nil, ring.ErrFull
	}
	if g.receiving.Add(1)*size*(1+decodedFactor) > g.budget {
		g.receiving.Add(-1)
		g.refused()
		return nil, errBusy
	}
	p := &place{gate: g}
	p.timer = time.AfterFunc(receiveTime, p.free)
	return p, nil
}

type placeKey struct{}

// arrived gives back the place of a request that has been decoded, which took
// so many bytes encoded. From the sizes the gate learns what it lets in.
func arrived(ctx context.Context, bytes int64) {
	p, ok := ctx.Value(placeKey{}).(*place)
	if !ok {
		return // it came through no gate
	}
	p.leave()
	const memory = 16 // requests
	before := p.gate.size.Load()
	p.gate.size.Store(before + (bytes-before)/memory)
}

// GetGRPCServerOptions implements extensionmiddleware.GRPCServer.
func (g *gate) GetGRPCServerOptions(context.Context) ([]grpc.ServerOption, error) {
	return []grpc.ServerOption{grpc.InTapHandle(func(ctx context.Context, _ *tap.Info) (context.Context, error) {
		p, err := g.enter()
		if err != nil {
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
			p, err := g.enter()
			if err != nil {
				refuse(err).writeOTLP(w, r)
				return
			}
			defer p.leave()
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), placeKey{}, p)))
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
