package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/otelscope/otelscope/internal/loadgen"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/test/internal/collector"
)

// How many workers of each sort there are.
const (
	spanWorkers   = 3
	nativeWorkers = 3
)

// Bounds of what may take long when something hangs.
const (
	startWithin = 60 * time.Second
	stopWithin  = 60 * time.Second
	killAgain   = 5 // one round in so many is killed once more while it starts
	resend      = 3 // acknowledged requests that each worker sends again
)

// campaign is a run: one data folder, many rounds.
type campaign struct {
	options
	out                   io.Writer
	dir                   string
	at                    collector.Addresses
	configs               []string
	rand                  *rand.Rand
	workers               []*worker
	process               *collector.Process
	api                   *collector.API
	total                 verdict
	rounds                int
	restarts              []time.Duration
	cutCount, compactions int64 // before kills
}

func newCampaign(o options, dir string, out io.Writer) (*campaign, error) {
	at, err := collector.NewAddresses()
	if err != nil {
		return nil, err
	}
	c := &campaign{options: o, out: out, dir: dir, at: at, rand: rand.New(rand.NewPCG(o.seed, 0xc4a5))}
	if err := c.configure(); err != nil {
		return nil, err
	}
	for i := range spanWorkers + nativeWorkers {
		c.workers = append(c.workers, newWorker(o.seed, i, i >= spanWorkers))
	}
	return c, nil
}

// Stores of one kind cut all the time; those of the other make small blocks,
// of which compaction makes larger ones, the first kind's too.
var cuts = []collector.Storage{
	{CutBytes: "1MiB"},
	{CutBytes: "64MiB", CutAge: "1s"},
}

// configure draws what kind of store the next start opens.
func (c *campaign) configure() (err error) {
	storage := cuts[c.rand.IntN(len(cuts))]
	storage.Directory = filepath.Join(c.dir, "data")
	c.configs, err = collector.ScopeConfig(c.dir, c.config, c.at, storage, false)
	return err
}

func (c *campaign) run(ctx context.Context) (err error) {
	if _, err := c.start(ctx); err != nil {
		return err
	}
	defer func() {
		c.process.Kill()
		c.api.Close()
	}()
	for n := range c.options.rounds {
		if err := c.round(ctx, n); err != nil {
			return fmt.Errorf("round %d: %w", n+1, err)
		}
		if c.total.bad() > 0 {
			return fmt.Errorf("round %d: %s", n+1, c.total.explain())
		}
	}
	return c.finish(ctx)
}

// start starts the collector and waits for it. It returns how long that took.
func (c *campaign) start(ctx context.Context) (time.Duration, error) {
	begin := time.Now()
	var err error
	c.process, err = collector.Start(collector.Settings{Binary: c.binary, Configs: c.configs, Dir: c.dir})
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if err := c.process.Ready(ctx, c.at.HealthURL()); err != nil {
		c.process.Kill()
		return 0, err
	}
	c.api = collector.NewAPI(c.at.APIURL(), lookups)
	return time.Since(begin), nil
}

func (c *campaign) round(ctx context.Context, n int) error {
	after := 100*time.Millisecond + time.Duration(c.rand.Int64N(int64(c.load)))
	before, err := c.loadAndKill(ctx, after)
	if err == nil {
		err = c.configure()
	}
	if err != nil {
		return err
	}
	if n%killAgain == killAgain-1 {
		if err := c.killWhileStarting(ctx); err != nil {
			return err
		}
	}
	took, err := c.start(ctx)
	if err != nil {
		return err
	}
	c.restarts = append(c.restarts, took)

	acked, unanswered := c.answered()
	v, err := verify(ctx, c.api, c.jobs(false))
	if err == nil {
		var again verdict
		again, err = c.again(ctx)
		v.add(again)
	}
	c.total.add(v)
	stats, statErr := c.api.Store(ctx)
	c.rounds++
	c.cutCount += before.Cuts
	c.compactions += before.Compactions
	c.report(n, after, took, acked, unanswered, v, before, stats)
	for _, w := range c.workers {
		w.since = len(w.all)
	}
	return errors.Join(err, statErr)
}

// loadAndKill kills the collector under load, and waits until all workers have
// felt it. It returns the store's figures of just before.
func (c *campaign) loadAndKill(ctx context.Context, after time.Duration) (store.Stats, error) {
	senders, stop, err := c.senders()
	if err != nil {
		return store.Stats{}, err
	}
	defer stop()
	loading, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for _, w := range c.workers {
		wg.Go(func() {
			if err := w.run(loading, senders(w), c.rate); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	select {
	case <-time.After(after):
	case <-ctx.Done():
	case <-c.process.Done():
	}
	stats, err := c.api.Store(ctx)
	c.process.Kill()
	cancel()
	wg.Wait()
	c.api.Close()
	return stats, errors.Join(append(errs, err)...)
}

// senders are new for each round: old connections are to a dead process.
func (c *campaign) senders() (of func(*worker) loadgen.Sender, stop func(), err error) {
	g, err := loadgen.NewGRPC(c.at.GRPC, 2)
	if err != nil {
		return nil, nil, err
	}
	h := loadgen.NewEvents(c.at.EventsURL(), nativeWorkers)
	return func(w *worker) loadgen.Sender {
		if w.native {
			return h
		}
		return g
	}, func() { g.Close(); h.Close() }, nil
}

// killWhileStarting starts the collector and kills it before or while it
// recovers.
func (c *campaign) killWhileStarting(ctx context.Context) error {
	p, err := collector.Start(collector.Settings{Binary: c.binary, Configs: c.configs, Dir: c.dir})
	if err != nil {
		return err
	}
	select {
	case <-time.After(time.Duration(c.rand.Int64N(int64(400 * time.Millisecond)))):
	case <-p.Done():
	case <-ctx.Done():
	}
	p.Kill()
	return ctx.Err()
}

// again sends what was not answered, some of what was, and some of the returns
// that are still due, and looks up what that touched.
func (c *campaign) again(ctx context.Context) (verdict, error) {
	senders, stop, err := c.senders()
	if err != nil {
		return verdict{}, err
	}
	defer stop()
	var touched []job
	for _, w := range c.workers {
		list := append(w.unanswered(), w.some(resend)...)
		for range len(w.open) / 2 {
			w.seq++
			list = append(list, w.giveBack(&request{now: time.Now().UnixNano()}))
		}
		for _, r := range list {
			gone, err := w.send(ctx, senders(w), r)
			if err != nil {
				return verdict{}, err
			}
			if gone {
				return verdict{}, errors.New("the restarted collector does not answer")
			}
			touched = append(touched, job{w, w.calls(r)})
		}
	}
	return verify(ctx, c.api, touched)
}

// calls returns the request that holds the calls which r returns; r itself if
// it returns none.
func (w *worker) calls(r *request) *request {
	if r.kind != returns {
		return r
	}
	for _, of := range slices.Backward(w.all) {
		if of.back == r {
			return of
		}
	}
	return r
}

// jobs are the requests of this round, or of all.
func (c *campaign) jobs(all bool) []job {
	var out []job
	for _, w := range c.workers {
		from := w.since
		if all {
			from = 0
		}
		for _, r := range w.all[from:] {
			out = append(out, job{w, w.calls(r)})
		}
	}
	return out
}

func (c *campaign) answered() (acked, unanswered int) {
	for _, w := range c.workers {
		for _, r := range w.all[w.since:] {
			if r.acked {
				acked += r.events()
			} else {
				unanswered++
			}
		}
	}
	return acked, unanswered
}

// finish stops the collector as an operator would, starts it once more and
// looks up everything.
func (c *campaign) finish(ctx context.Context) error {
	c.api.Close()
	stopCtx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	if err := c.process.Stop(stopCtx); err != nil {
		return fmt.Errorf("clean stop: %w", err)
	}
	took, err := c.start(ctx)
	if err != nil {
		return fmt.Errorf("start after a clean stop: %w", err)
	}
	jobs := c.jobs(true)
	fmt.Fprintf(c.out, "clean stop, start %s; looking up all %d requests of all rounds …\n", took.Round(time.Millisecond), len(jobs))
	v, err := verify(ctx, c.api, jobs)
	c.total.add(v)
	if err == nil && c.total.bad() > 0 {
		err = fmt.Errorf("at the end: %s", c.total.explain())
	}
	return err
}

func (c *campaign) report(n int, after, took time.Duration, acked, unanswered int, v verdict, before, s store.Stats) {
	fmt.Fprintf(c.out, "round %2d/%d: killed after %4d ms, %2d cuts, %2d compactions, %6d acknowledged, %d requests unanswered; up in %4d ms, %6d spans recovered, %3d blocks; %5d lookups, %d lost, %d doubled, %d wrong\n",
		n+1, c.options.rounds, after.Milliseconds(), before.Cuts, before.Compactions, acked, unanswered, took.Milliseconds(), s.RecoveredSpans, s.Blocks, v.checked, v.lost, v.doubled, v.wrong)
}

func (v *verdict) explain() string {
	text := fmt.Sprintf("%d lost, %d doubled, %d wrong, for example:", v.lost, v.doubled, v.wrong)
	for _, e := range v.examples {
		text += "\n  " + e
	}
	return text
}

func (c *campaign) summary() {
	var acked int
	for _, w := range c.workers {
		for _, r := range w.all {
			if r.acked {
				acked += r.events()
			}
		}
	}
	slices.Sort(c.restarts)
	var middle, longest time.Duration
	if n := len(c.restarts); n > 0 {
		middle, longest = c.restarts[n/2], c.restarts[n-1]
	}
	fmt.Fprintf(c.out, "%d rounds, %d cuts, %d compactions, %d spans and events acknowledged, %d lookups, %d lost, %d doubled, %d wrong; restart p50 %d ms, max %d ms; seed %d\n",
		c.rounds, c.cutCount, c.compactions, acked, c.total.checked, c.total.lost, c.total.doubled, c.total.wrong, middle.Milliseconds(), longest.Milliseconds(), c.seed)
}
