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
	batch   BatchConfig
	bounds  WorkersConfig
	restart func() // counts

	ctx    context.Context // of what workers do; ends when Shutdown gives up on them
	cancel context.CancelFunc
	done   sync.WaitGroup
	halt   chan struct{} // ends the scaling

	mu      sync.Mutex
	workers []*worker
	nextID  int

	busy  atomic.Int64
	sizes sizeLog
}

// worker is one slot. Counters are since it began, of batches that it took.
type worker struct {
	id       int
	stop     context.CancelFunc // ends its wait for the next batch
	batches  atomic.Int64
	items    atomic.Int64
	restarts atomic.Int64
	busy     atomic.Bool
}

// errWorkerStopped is why a worker that is not needed any more stops waiting.
var errWorkerStopped = errors.New("the worker is not needed any more")

func newPool(cfg *Config, r *ring.Ring[work], h *handler, logger *zap.Logger, restart func()) *pool {
	ctx, cancel := context.WithCancel(context.Background())
	return &pool{
		ring: r, handler: h, logger: logger, batch: cfg.Batch, bounds: cfg.Workers, restart: restart,
		ctx: ctx, cancel: cancel, halt: make(chan struct{}),
	}
}

func (p *pool) start() {
	p.resize(p.bounds.Min)
	p.done.Go(p.scale)
}

// scale adds and removes workers until halt.
func (p *pool) scale() {
	ticker := time.NewTicker(scaleInterval)
	defer ticker.Stop()
	var s scaler
	for {
		select {
		case <-ticker.C:
			l := p.load()
			if n := s.next(l, p.bounds, p.batch); n != l.workers {
				p.resize(n)
			}
		case <-p.halt:
			return
		}
	}
}

func (p *pool) load() load {
	items, oldest := p.ring.Backlog()
	return load{workers: p.count(), busy: int(p.busy.Load()), waiting: items, oldest: oldest}
}

func (p *pool) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.workers)
}

// resize makes it n workers. Those that go finish the batch they hold.
func (p *pool) resize(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.workers) < n {
		ctx, cancel := context.WithCancelCause(p.ctx)
		w := &worker{id: p.nextID, stop: func() { cancel(errWorkerStopped) }}
		p.nextID++
		p.workers = append(p.workers, w)
		p.done.Go(func() { p.run(ctx, w, nil) })
	}
	for len(p.workers) > n {
		last := len(p.workers) - 1
		p.workers[last].stop()
		p.workers = p.workers[:last]
	}
}

// run is a worker's goroutine. again is the batch that its predecessor died
// of, nil for the first.
func (p *pool) run(ctx context.Context, w *worker, again *ring.Batch[work]) {
	held := again
	defer func() {
		if cause := recover(); cause != nil {
			p.died(ctx, w, held, again != nil && held == again, cause)
		}
	}()
	if again != nil {
		p.work(w, again, true)
		held = nil
	}
	for {
		b, err := p.ring.Take(ctx, ring.Want{Max: batchTarget(p.load(), p.batch), Min: p.batch.MinSize, Delay: p.batch.MaxDelay})
		if err != nil {
			return
		}
		held = b
		p.work(w, b, false)
		held = nil
	}
}

// died puts another goroutine in the place of one that panicked. The batch is
// tried once more; if it kills its second worker too, its clients are told to
// come again.
func (p *pool) died(ctx context.Context, w *worker, held *ring.Batch[work], second bool, cause any) {
	w.restarts.Add(1)
	p.restart()
	if w.busy.Swap(false) {
		p.busy.Add(-1)
	}
	if held != nil && second {
		p.ring.Release(held, errWorker)
		held = nil
	}
	p.done.Go(func() { p.run(ctx, w, held) })
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
	err := p.handler.handle(p.ctx, b, careful)
	took := time.Since(start)
	w.busy.Store(false)
	p.busy.Add(-1)
	p.sizes.add(b.Items, took)
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
