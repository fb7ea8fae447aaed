package scopereceiver

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/otelscope/otelscope/internal/ring"
)

// pool runs the workers. A worker is a slot that outlives its goroutine: when
// the goroutine panics, another takes over the slot and the batch it held.
type pool struct {
	ring    *ring.Ring[work]
	handler *handler
	logger  *zap.Logger // rate-limited
	counts  *counts
	relief  *relief // nil without a hub

	ctx    context.Context // of what workers do; ends when Shutdown gives up on them
	cancel context.CancelFunc
	done   sync.WaitGroup
	halt   chan struct{} // closed when Shutdown begins

	mu      sync.Mutex
	changed *sync.Cond // paused, or some worker's stopped
	bounds  WorkersConfig
	batch   BatchConfig
	paused  bool
	closing bool // workers only go from now on
	workers []*worker
	nextID  int

	busy     atomic.Int64
	retrying atomic.Int64 // of the busy ones
	sizes    sizeLog
}

// worker is one slot. Counters are since it began, of batches that it took.
type worker struct {
	id       int
	batches  atomic.Int64
	items    atomic.Int64
	restarts atomic.Int64
	busy     atomic.Bool

	// Owned by the pool's lock.
	stopped   bool
	taking    context.Context // of its wait for the next batch
	interrupt context.CancelFunc
}

func newPool(cfg *Config, r *ring.Ring[work], h *handler, logger *zap.Logger, c *counts) *pool {
	ctx, cancel := context.WithCancel(context.Background())
	p := &pool{
		ring: r, handler: h, logger: logger, counts: c, batch: cfg.Batch, bounds: cfg.Workers,
		ctx: ctx, cancel: cancel, halt: make(chan struct{}),
	}
	p.changed = sync.NewCond(&p.mu)
	return p
}

func (p *pool) start() {
	p.mu.Lock()
	p.resize(p.bounds.Min)
	p.mu.Unlock()
	p.done.Go(p.scale)
}

// scale adds and removes workers, and relieves pressure, until halt.
func (p *pool) scale() {
	ticker := time.NewTicker(scaleInterval)
	defer ticker.Stop()
	s := newScaler()
	for {
		select {
		case <-ticker.C:
			p.rescale(s)
			if p.relief != nil {
				p.relief.step()
			}
		case <-p.halt:
			return
		}
	}
}

func (p *pool) rescale(s *scaler) {
	l := p.load()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resize(s.next(l, p.bounds, p.batch))
}

func (p *pool) load() load {
	items, oldest := p.ring.Backlog()
	return load{workers: p.count(), busy: int(p.busy.Load()), retrying: int(p.retrying.Load()), waiting: items, oldest: oldest}
}

func (p *pool) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.workers)
}

// resize makes it n workers. Those that go finish the batch they hold. It
// needs p.mu.
func (p *pool) resize(n int) {
	if p.closing {
		return
	}
	for len(p.workers) < n {
		w := &worker{id: p.nextID}
		p.nextID++
		p.workers = append(p.workers, w)
		p.done.Go(func() { p.run(w, nil) })
	}
	for len(p.workers) > n {
		last := len(p.workers) - 1
		p.workers[last].stopped = true
		p.interrupt(p.workers[last])
		p.workers = p.workers[:last]
	}
}

// interrupt makes a worker look again whether it may take something. It needs
// p.mu.
func (p *pool) interrupt(w *worker) {
	if w.interrupt != nil {
		w.interrupt()
	}
	p.changed.Broadcast()
}

// enter waits while the pool is paused. It returns what bounds a worker's wait
// for a batch, or false when the worker has to go.
func (p *pool) enter(w *worker) (context.Context, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.paused && !w.stopped {
		p.changed.Wait()
	}
	if w.stopped || p.ctx.Err() != nil {
		return nil, false
	}
	if w.taking == nil || w.taking.Err() != nil {
		w.taking, w.interrupt = context.WithCancel(p.ctx)
	}
	return w.taking, true
}

// whilePaused keeps a batch that was taken at the moment of a pause.
func (p *pool) whilePaused() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.paused {
		p.changed.Wait()
	}
}

func (p *pool) want() ring.Want {
	l := p.load()
	p.mu.Lock()
	defer p.mu.Unlock()
	return ring.Want{Max: batchTarget(l, p.batch), Min: p.batch.MinSize, Delay: p.batch.MaxDelay}
}

// run is a worker's goroutine. again is the batch that its predecessor died
// of, nil for the first.
func (p *pool) run(w *worker, again *ring.Batch[work]) {
	held := again
	defer func() {
		if cause := recover(); cause != nil {
			p.died(w, held, again != nil && held == again, cause)
		}
	}()
	if again != nil {
		p.work(w, again, true)
		held = nil
	}
	for {
		ctx, ok := p.enter(w)
		if !ok {
			return
		}
		b, err := p.ring.Take(ctx, p.want())
		if errors.Is(err, ring.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		held = b
		p.whilePaused()
		p.work(w, b, false)
		held = nil
	}
}

// died puts another goroutine in the place of one that panicked. The batch is
// tried once more; if it kills its second worker too, its clients are told to
// come again.
func (p *pool) died(w *worker, held *ring.Batch[work], second bool, cause any) {
	w.restarts.Add(1)
	p.counts.restart()
	if w.busy.Swap(false) {
		p.busy.Add(-1)
	}
	if held != nil && second {
		p.release(held, errWorker)
		held = nil
	}
	p.done.Go(func() { p.run(w, held) })
	p.logger.Error("A worker panicked and was replaced",
		zap.Int("worker", w.id), zap.String("panic", panicText(cause)), zap.ByteString("stack", debug.Stack()))
}

// work handles one batch and releases it.
func (p *pool) work(w *worker, b *ring.Batch[work], careful bool) {
	w.batches.Add(1)
	w.items.Add(int64(b.Items))
	w.busy.Store(true)
	p.busy.Add(1)
	start := time.Now()
	err := p.handle(b, careful)
	took := time.Since(start)
	w.busy.Store(false)
	p.busy.Add(-1)
	p.sizes.add(b.Items, took)
	p.release(b, err)
}

// release ends a batch. What is still owed then is lost.
func (p *pool) release(b *ring.Batch[work], err error) {
	if err != nil {
		p.counts.lost(owed(b.Entries, err))
	}
	p.ring.Release(b, err)
}

// drain waits until the workers have emptied the closed ring, or for ctx.
func (p *pool) drain(ctx context.Context) bool {
	done := make(chan struct{})
	go func() {
		p.done.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// workerStatus is a worker in the status page.
type workerStatus struct {
	ID       int   `json:"id"`
	Batches  int64 `json:"batches"`
	Items    int64 `json:"items"`
	Restarts int64 `json:"restarts"`
	Busy     bool  `json:"busy"`
}

func (p *pool) status() []workerStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]workerStatus, 0, len(p.workers))
	for _, w := range p.workers {
		out = append(out, workerStatus{w.id, w.batches.Load(), w.items.Load(), w.restarts.Load(), w.busy.Load()})
	}
	return out
}

// sizeLog remembers the last batches, for the status page.
type sizeLog struct {
	mu    sync.Mutex
	sizes [128]int
	took  [128]time.Duration
	n     int // batches since start
}

func (l *sizeLog) add(size int, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sizes[l.n%len(l.sizes)] = size
	l.took[l.n%len(l.took)] = took
	l.n++
}

// count returns how many batches there were.
func (l *sizeLog) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// last returns the newest batch's size, and the medians of the last ones.
func (l *sizeLog) last() (size, medianSize int, medianTook time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == 0 {
		return 0, 0, 0
	}
	n := min(l.n, len(l.sizes))
	sizes, took := slices.Sorted(slices.Values(l.sizes[:n])), slices.Sorted(slices.Values(l.took[:n]))
	return l.sizes[(l.n-1)%len(l.sizes)], sizes[n/2], took[n/2]
}
