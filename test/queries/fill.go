package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/otelscope/otelscope/internal/event"
	"github.com/otelscope/otelscope/internal/loadgen"
	"github.com/otelscope/otelscope/internal/workload"
)

// What is sent.
const (
	inFlight    = 8
	connections = 2
	requestSize = 500
	variants    = 8
	shopEvents  = 2000 // in one body
	shopEvery   = 100  // requests of spans to one body of the shop's
	userMark    = 900_000
	keptIDs     = 100_000
)

// known is what can be asked for afterwards.
type known struct {
	content content
	// sampledOut is how many of the spans are not stored: any question may be
	// about one of them then.
	sampledOut int64
	mu         sync.Mutex
	requests   []request // some of those that were acknowledged
	seen       int
	events     []string // of the shop
	failures   []string // of the shop: events with a failed outcome
	entities   []string
	groups     []string
	workers    []process // payment workers: they live long
	rand       *rand.Rand
}

func newKnown(seed uint64) (*known, error) {
	c, err := contentOf(templates(seed, requestSize))
	return &known{content: c, rand: rand.New(rand.NewPCG(seed, 2))}, err
}

type process struct{ service, node, id string }

// request is one that was sent: what it held is worked out from its number.
type request struct {
	template *loadgen.SpanTemplate
	seq      uint64
}

func (k *known) sent(r request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.seen++; len(k.requests) < keptIDs {
		k.requests = append(k.requests, r)
	} else if i := k.rand.IntN(k.seen); i < keptIDs {
		k.requests[i] = r
	}
}

// request returns a random one, and the number of a span in it.
func (k *known) request() (r request, span int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r = k.requests[k.rand.IntN(len(k.requests))]
	return r, k.rand.IntN(r.template.Items)
}

// failure returns a kind of failure that occurs; below a SERVER root if nested.
func (k *known) failure(nested bool) failure {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.content.failure(k.rand, nested)
}

func (k *known) one(of []string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return of[k.rand.IntN(len(of))]
}

// user is the value of user.id of a span.
func (r request) user(span int) string { return r.template.Text(r.seq, userMark+span) }

// service is the service.name of a span.
func (r request) service(span int) (string, error) {
	decoded := ptraceotlp.NewExportRequest()
	if err := decoded.UnmarshalProto(r.template.Clone().Fill(r.seq, time.Now().UnixNano())); err != nil {
		return "", err
	}
	for _, rs := range decoded.Traces().ResourceSpans().All() {
		for _, s := range rs.ScopeSpans().At(0).Spans().All() {
			if user, _ := s.Attributes().Get("user.id"); user.Str() == r.user(span) {
				service, _ := rs.Resource().Attributes().Get("service.name")
				return service.Str(), nil
			}
		}
	}
	return "", fmt.Errorf("request %d has no span of user %s", r.seq, r.user(span))
}

// templates are the requests of spans; clones of them may be filled by one
// goroutine each.
func templates(seed uint64, size int) []*loadgen.SpanTemplate {
	var all []*loadgen.SpanTemplate
	for v := range variants {
		all = append(all, loadgen.Spans(seed, v, size))
	}
	return all
}

// workers send requests of size spans; numbers begin at first, so that no two
// loads of a run share one.
func (o options) workers(n, size int, first uint64, to loadgen.Sender, sent func(request)) []loadgen.Worker {
	made := templates(o.seed, size)
	out := make([]loadgen.Worker, n)
	for w := range n {
		mine := make([]*loadgen.SpanTemplate, variants)
		for v := range made {
			mine[v] = made[v].Clone()
		}
		seq := func(i uint64) uint64 { return first + uint64(w)<<40 + i }
		out[w] = loadgen.Worker{
			Sender: to, Items: size,
			Next: func(i uint64) []byte {
				return mine[(uint64(w)+i)%variants].Fill(seq(i), time.Now().UnixNano())
			},
			Sent: func(i uint64) {
				if sent != nil {
					sent(request{made[(uint64(w)+i)%variants], seq(i)})
				}
			},
		}
	}
	return out
}

// fill stores o.spans spans as fast as the collector takes them, the shop's
// among them all the while.
func (o options) fill(ctx context.Context, s *server, r *results) (*known, error) {
	fmt.Printf("storing %d spans …\n", o.spans)
	k, err := newKnown(o.seed)
	if err != nil {
		return nil, err
	}
	g, err := loadgen.NewGRPC(s.at.GRPC, connections)
	if err != nil {
		return nil, err
	}
	defer g.Close()
	shop, err := newShop(o.seed, s.at.EventsURL(), k)
	if err != nil {
		return nil, err
	}
	defer shop.sender.Close()

	filling, done := context.WithCancel(ctx)
	defer done()
	var meter loadgen.Meter
	ended := make(chan error, 1)
	begin := time.Now()
	go func() {
		ended <- loadgen.Closed(filling, &meter, o.workers(inFlight, requestSize, 0, g, k.sent))
	}()
	progress := time.NewTicker(10 * time.Second)
	defer progress.Stop()
	for bodies := 0; meter.Items.Load()+shop.spans.Load() < int64(o.spans); {
		select {
		case err := <-ended:
			return nil, fmt.Errorf("the load ended early: %w", err)
		case <-progress.C:
			fmt.Printf("  %d spans after %.0f s\n", meter.Items.Load()+shop.spans.Load(), time.Since(begin).Seconds())
		default:
		}
		if int64(bodies)*shopEvery*requestSize <= meter.Items.Load() {
			if err := shop.send(ctx); err != nil {
				return nil, err
			}
			bodies++
			continue
		}
		time.Sleep(time.Millisecond)
	}
	done()
	if err := <-ended; err != nil {
		return nil, err
	}
	took := time.Since(begin)
	stats, err := s.settled(ctx)
	if err != nil {
		return nil, err
	}
	rss, err := s.PeakRSS()
	if err != nil {
		return nil, err
	}
	var status struct {
		Components struct {
			Pressure struct {
				Spans struct {
					SampledOut map[string]int64 `json:"sampled_out"`
				} `json:"spans"`
			} `json:"pressure"`
		} `json:"components"`
	}
	if err := s.api.Status(ctx, &status); err != nil {
		return nil, err
	}
	for _, n := range status.Components.Pressure.Spans.SampledOut {
		k.sampledOut += n
	}
	r.Filled = filled{
		SampledOut: k.sampledOut,
		Spans:      stats.Spans, Seconds: took.Seconds(), Blocks: stats.Blocks, BlockMB: float64(stats.BlockBytes) / 1e6,
		BytesPerSpan: float64(stats.BlockBytes) / float64(max(1, stats.Spans-stats.HeadSpans)), PeakRSSMB: float64(rss) / 1e6,
	}
	fmt.Printf("  %d spans in %.0f s, %d blocks, %.0f MB, %.0f bytes a span, peak RSS %.0f MB, %d sampled out\n",
		stats.Spans, r.Filled.Seconds, stats.Blocks, r.Filled.BlockMB, r.Filled.BytesPerSpan, r.Filled.PeakRSSMB, k.sampledOut)
	return k, nil
}

// shop sends native events of a simulated asynchronous shop.
type shop struct {
	shop   *workload.Shop
	sender *loadgen.HTTP
	body   bytes.Buffer
	known  *known
	groups map[string]bool
	spans  atomic.Int64
}

func newShop(seed uint64, url string, k *known) (*shop, error) {
	config := workload.DefaultConfig()
	config.Seed, config.Start, config.OrdersPerSecond = seed, time.Now(), 40
	w, err := workload.New(config)
	if err != nil {
		return nil, err
	}
	return &shop{shop: w, sender: loadgen.NewEvents(url, 1), known: k, groups: map[string]bool{}}, nil
}

func (s *shop) send(ctx context.Context) error {
	s.body.Reset()
	for range shopEvents {
		step, _ := s.shop.Next()
		s.note(&step.Event)
		if step.Span == step.Event.ID { // a return has none
			s.spans.Add(1)
		}
		s.body.Write(step.Event.AppendJSON(nil))
		s.body.WriteByte('\n')
	}
	return s.sender.Send(ctx, s.body.Bytes())
}

func (s *shop) note(e *event.Event) {
	k := s.known
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.events) < keptIDs {
		k.events = append(k.events, e.ID)
	}
	if e.Kind == event.KindError && len(k.failures) < keptIDs {
		k.failures = append(k.failures, e.ID)
	}
	if e.Kind == event.KindState && len(k.entities) < keptIDs {
		k.entities = append(k.entities, e.Entity)
	}
	if e.Service == "payments" && len(k.workers) < 1000 {
		k.workers = append(k.workers, process{e.Service, e.Node, e.Process})
	}
	if g := e.CorrelationID; g != "" && !s.groups[g] && len(k.groups) < keptIDs {
		s.groups[g] = true
		k.groups = append(k.groups, g)
	}
}
