package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"syscall"
	"time"

	"github.com/otelscope/otelscope/internal/loadgen"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/test/internal/collector"
)

// stormResult is ten times what the machine takes, and what came of it.
type stormResult struct {
	Command     string                `json:"command"`
	Environment collector.Environment `json:"environment"`
	Load        float64               `json:"load_average"` // of the machine, before

	Capacity  float64 `json:"closed_loop_spans_per_second"`
	Offered   float64 `json:"offered_spans_per_second"`
	Attempted float64 `json:"attempted_spans_per_second"` // really sent
	Requests  struct {
		Acked   int64 `json:"acknowledged"`
		Refused int64 `json:"refused"`
		Unknown int64 `json:"unknown"`
		Skipped int64 `json:"not_sent"` // the generator was too slow, or all its senders waited
	} `json:"requests"`
	HopMs        float64 `json:"between_hops_ms"` // of the lane with the most requests
	P50ms        float64 `json:"p50_ms"`          // of acknowledged requests
	P99ms        float64 `json:"p99_ms"`
	ServerCPU    float64 `json:"server_cpu_seconds"`
	GeneratorCPU float64 `json:"generator_cpu_seconds"`
	Watched      watched `json:"watched"`
	History      []turn  `json:"levels"`
	Recovery     struct {
		EmptySeconds  float64 `json:"ring_empty_after_seconds"`
		NormalSeconds float64 `json:"level_normal_after_seconds"`
		RSSMB         float64 `json:"rss_mb"`
		HeapMB        float64 `json:"heap_mb"`
	} `json:"recovery"`
	Lookups struct {
		Asked int `json:"asked"`
		Lost  int `json:"lost"`
	} `json:"lookups"`
	Accounts accounts `json:"accounts"`
	Problems []string `json:"problems"`
}

// shares are the services of the storm: their part of the load, or, of rare
// ones, their requests a second, whatever the load.
var shares = []struct {
	service string
	share   float64
	rare    float64
}{
	{"orders", 0.40, 0}, {"payments", 0.25, 0}, {"stock", 0.18, 0}, {"mailer", 0.17, 0},
	{"audit", 0, 4}, {"refunds", 0, 3},
}

// Sizes of the storm's requests, in chains: about 450 items each.
const (
	nativeChains = 20
	otlpChains   = 32
)

const (
	hopGap         = 150 * time.Millisecond // between two hops, if all can be sent that is due
	rareSenders    = 8
	measureFlight  = 48 // requests in flight while the capacity is measured
	overloadFactor = 10
	calmAfter      = 5 * time.Second // after the ring is empty, before memory is looked at
	lookups        = 200
)

// storm measures what the machine takes, offers ten times that, and accounts
// for every span.
func storm(ctx context.Context, o options, r *results) error {
	out := &stormResult{Command: r.command, Environment: r.environment, Load: collector.Load1()}
	err := o.with(ctx, "", func(s *server) error { return o.storm(ctx, s, out) })
	if err == nil {
		r.Storm = out
		r.problems = append(r.problems, out.Problems...)
	}
	return err
}

func (o options) storm(ctx context.Context, s *server, out *stormResult) error {
	all := ledgers{}
	rates, err := o.measure(ctx, s, all, out)
	if err != nil {
		return err
	}
	if _, err := settle(ctx, s.api); err != nil {
		return fmt.Errorf("after the measurement: %w", err)
	}

	lanes, done, err := o.lanes(s, len(all), func(native bool, i int) (int, int) {
		if shares[i].share == 0 {
			return 1, rareSenders
		}
		return max(1, int(math.Round(rates[native][i]*hopGap.Seconds()))), rareSenders + int(float64(o.inFlight)/2*shares[i].share)
	})
	if err != nil {
		return err
	}
	defer done()
	for _, l := range lanes {
		all[l.lane] = l.ledger
	}
	rest, err := o.blow(ctx, s, lanes, rates, out)
	if err != nil {
		return err
	}
	out.Problems = rest.problems()
	out.Recovery.EmptySeconds, out.Recovery.NormalSeconds = rest.empty.Seconds(), rest.calm.Seconds()
	pause(ctx, calmAfter)
	var last status
	if err := s.api.Status(ctx, &last); err != nil {
		return err
	}
	out.History = last.Pressure.History
	rss, err1 := s.RSS()
	heap, err2 := s.heap(ctx)
	out.Recovery.RSSMB, out.Recovery.HeapMB = float64(rss)/1e6, heap/1e6
	if err := errors.Join(err1, err2, out.lookup(ctx, s, lanes)); err != nil {
		return err
	}
	fmt.Printf("  ring empty after %.1f s, level normal after %.1f s, RSS %.0f MB, heap %.0f MB; %d lookups, %d lost\n",
		rest.empty.Seconds(), rest.calm.Seconds(), out.Recovery.RSSMB, out.Recovery.HeapMB, out.Lookups.Asked, out.Lookups.Lost)
	if err := s.end(); err != nil {
		return fmt.Errorf("SIGTERM: %w", err)
	}
	return out.settleAccounts(ctx, s, all, last)
}

// measure lets each lane send as fast as answers come, and returns ten times
// the requests a second of each: the rates of the storm, by format and service.
func (o options) measure(ctx context.Context, s *server, all ledgers, out *stormResult) (map[bool][]float64, error) {
	lanes, done, err := o.lanes(s, 0, func(bool, int) (int, int) { return 10, measureFlight })
	if err != nil {
		return nil, err
	}
	defer done()
	for _, l := range lanes {
		all[l.lane] = l.ledger
	}
	fmt.Printf("storm: measuring what the machine takes, %s …\n", o.measureFor)
	running, cancel := context.WithTimeout(ctx, o.measureFor)
	defer cancel()
	begin := time.Now()
	var run []func() error
	for i, l := range lanes {
		share := shares[i/2]
		run = append(run, func() error {
			if share.share == 0 {
				return l.open(running, share.rare)
			}
			return l.closed(running, max(1, int(math.Round(measureFlight/2*share.share))))
		})
	}
	if err := each(cancel, run...); err != nil {
		return nil, err
	}
	seconds := time.Since(begin).Seconds()
	rates := map[bool][]float64{}
	for i, l := range lanes {
		perSecond := float64(l.acked.Load()) / seconds
		out.Capacity += perSecond * float64(l.spans())
		rate := overloadFactor * max(perSecond, 1)
		if shares[i/2].share == 0 {
			rate = shares[i/2].rare
		}
		rates[l.native] = append(rates[l.native], rate)
		out.Offered += rate * float64(l.spans())
	}
	fmt.Printf("  %.0f spans/s; offering %.0f\n", out.Capacity, out.Offered)
	return rates, ctx.Err()
}

// lanes makes two lanes of each service, OTLP and native, the services at
// addresses of their own, numbered from from; those from 0 on are a rehearsal.
// size says the lag and how many senders there are.
func (o options) lanes(s *server, from int, size func(native bool, i int) (lag, senders int)) (lanes []*lane, done func(), err error) {
	var closers []func() error
	done = func() {
		for _, c := range closers {
			_ = c()
		}
	}
	for i, share := range shares {
		address := fmt.Sprintf("127.0.0.%d", 10+i)
		for _, native := range []bool{false, true} {
			lag, senders := size(native, i)
			c := content{lane: from + len(lanes), native: native, service: share.service, chains: otlpChains, lag: lag, seed: o.seed, rehearsal: from == 0}
			if native {
				c.chains = nativeChains
			}
			if share.share == 0 {
				c.chains = 1
			}
			sender, stop, err := dial(s, native, address, senders, 4)
			if err != nil {
				done()
				return nil, nil, err
			}
			closers = append(closers, stop)
			lanes = append(lanes, newLane(c, sender, senders))
		}
	}
	return lanes, done, nil
}

// dial connects from a local address: native events with a connection for each
// sender, OTLP with so many connections in all.
func dial(s *server, native bool, address string, senders, connections int) (loadgen.Sender, func() error, error) {
	if native {
		h := loadgen.NewEventsFrom(address, s.at.EventsURL(), senders)
		return h, h.Close, nil
	}
	g, err := loadgen.NewGRPCFrom(address, s.at.GRPC, connections)
	if err != nil {
		return nil, nil, err
	}
	return g, g.Close, nil
}

// blow offers the storm's load and watches the collector, and how it comes to
// rest from the moment on when nothing more is sent.
func (o options) blow(ctx context.Context, s *server, lanes []*lane, rates map[bool][]float64, out *stormResult) (rest settlement, err error) {
	length := time.Duration(o.minutes * float64(time.Minute))
	fmt.Printf("  storm for %s …\n", length)
	w := newWatch(ctx, s.Process, s.api, func(one sample) {
		t := tallies(lanes)
		fmt.Printf("  %4.0f s: %s (score %.2f), ring %.0f %%, sampling %.3f, RSS %.0f MB; requests: %d acknowledged, %d refused, %d unknown, %d not sent %s\n",
			one.At, one.Level, one.Score, 100*one.Fill, one.Ratio, one.RSSMB, t.acked, t.refused, t.unknown, t.skipped, one.Reason)
	})
	server, generator, err := cpu(s)
	if err != nil {
		return rest, err
	}
	defer w.stop()
	running, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	begin := time.Now()
	run := []func() error{func() (err error) {
		select {
		case <-running.Done():
		case <-s.Done():
			return errGone
		}
		rest, err = settle(ctx, s.api)
		return err
	}}
	for i, l := range lanes {
		run = append(run, func() error { return l.open(running, rates[l.native][i/2]) })
	}
	if err := each(cancel, run...); err != nil {
		return rest, err
	}
	out.Watched = w.end(s.Process)
	serverNow, generatorNow, err := cpu(s)
	if err != nil {
		return rest, fmt.Errorf("the collector is gone: %w", err)
	}
	out.ServerCPU, out.GeneratorCPU = (serverNow - server).Seconds(), (generatorNow - generator).Seconds()
	out.tally(lanes, length.Seconds())
	fmt.Printf("  %.0f s in all; sent %.0f spans/s, %.1f times what it takes; CPU: collector %.1f s, generator %.1f s; peak RSS %.0f MB\n",
		time.Since(begin).Seconds(), out.Attempted, share(out.Attempted, out.Capacity), out.ServerCPU, out.GeneratorCPU, out.Watched.PeakRSSMB)
	return rest, ctx.Err()
}

// tally sums up what came of the storm's requests.
func (out *stormResult) tally(lanes []*lane, seconds float64) {
	t := tallies(lanes)
	out.Requests.Acked, out.Requests.Refused, out.Requests.Unknown, out.Requests.Skipped = t.acked, t.refused, t.unknown, t.skipped
	out.P50ms, out.P99ms = ms(t.latency.Quantile(0.5)), ms(t.latency.Quantile(0.99))
	most := int64(0)
	for _, l := range lanes {
		sent := l.acked.Load() + l.refused.Load() + l.unknown.Load()
		out.Attempted += float64(sent*int64(l.spans())) / seconds
		if sent > most {
			most, out.HopMs = sent, 1000*seconds*float64(l.lag)/float64(sent)
		}
	}
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// cpu returns the processor time of the collector and of this process.
func cpu(s *server) (server, generator time.Duration, err error) {
	if server, err = s.CPU(); err != nil {
		return 0, 0, err
	}
	var usage syscall.Rusage
	err = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return server, time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), err
}

// lookup asks for acknowledged errors, which are never sampled out.
func (out *stormResult) lookup(ctx context.Context, s *server, lanes []*lane) error {
	for _, l := range lanes {
		left := lookups / len(lanes)
		for n := l.first(); n < l.groups() && left > 0; n++ {
			if l.of(n) != acked {
				continue
			}
			for k := range l.chains {
				p := place{lane: l.lane, group: n - uint64((hops-1)*l.lag), chain: k, hop: hops - 1, role: workRole}
				if !fails(p.number()) || left == 0 {
					continue
				}
				left--
				found, err := l.ask(ctx, s.api, p.number())
				if err != nil {
					return err
				}
				out.Lookups.Asked++
				if !found {
					out.Lookups.Lost++
				}
			}
		}
	}
	return nil
}

// ask looks a span up as a client would.
func (l *lane) ask(ctx context.Context, api *collector.API, number uint64) (bool, error) {
	if l.native {
		span, err := api.Event(ctx, fmt.Sprintf("%016x", number))
		return span != nil, err
	}
	spans, err := api.Trace(ctx, traceID(l.seed, number))
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], number)
	return spans[id] == 1, err
}

// settleAccounts opens what the collector left and accounts for it.
func (out *stormResult) settleAccounts(ctx context.Context, s *server, all ledgers, last status) error {
	fmt.Println("  reading the store …")
	st, err := store.Open(store.Config{Directory: s.data()})
	if err != nil {
		return err
	}
	out.Accounts, err = account(all, stored(ctx, st), last.sampledOut(), last.Components.Scope.Ring.Accepted)
	if err := errors.Join(err, st.Close(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	out.Problems = append(out.Problems, out.Accounts.problems()...)
	if out.Lookups.Lost > 0 {
		out.Problems = append(out.Problems, fmt.Sprintf("%d of %d lookups of acknowledged errors found nothing", out.Lookups.Lost, out.Lookups.Asked))
	}
	out.print()
	return nil
}

func (out *stormResult) print() {
	a := &out.Accounts
	fmt.Printf("  %d spans acknowledged = %d stored + %d sampled out, difference %d (0 to %d); errors %d of %d\n",
		a.Acked, a.Stored, a.SampledOut, a.Difference, a.Allowed, a.ErrorsStored, a.ErrorsAcked)
	for _, e := range a.Services {
		fmt.Printf("  %-9s accepted %9d, estimated %11.0f: %+.2f %%, %+.1f standard errors\n", e.Service, e.Accepted, e.Estimate, 100*e.Error, e.Errors)
	}
	for _, w := range []struct {
		name string
		*wholeness
	}{{"native", &a.Native}, {"otlp", &a.OTLP}} {
		fmt.Printf("  chains, %s: %d of %d segments whole; of several hops %d of %d, %d with rescued spans only\n", w.name, w.Whole, w.Segments, w.LongWhole, w.Long, w.RescuedOnly)
		if w.Sampled > 0 {
			fmt.Printf("    of those sampled %d of %d, %.2f %% (traces alone: %.2f %%)\n", w.SampledWhole, w.Sampled, 100*w.Share, 100*w.Alone)
		}
	}
	fmt.Printf("  errors with all that led to them: %d of %d, %d with rescued spans\n", a.LedUp.Whole, a.LedUp.Segments, a.LedUp.Rescued)
	for _, p := range slices.Sorted(slices.Values(out.Problems)) {
		fmt.Println("  !", p)
	}
}
