package correlateprocessor

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/otelscope/otelscope/internal/correlate"
)

// The journal writes what was gathered each flushInterval, or when it fills a
// chunk. Where the storage refuses, the next try comes after retryPause.
const (
	flushInterval = 100 * time.Millisecond
	retryPause    = time.Second
	chunkBytes    = 1 << 20
	waitingBytes  = 16 << 20 // the most that waits for the storage
)

const indexKey = "index"

func chunkKey(number uint64) string { return fmt.Sprintf("j/%016x", number) }

// journal keeps observations in a storage, as long as the engine remembers
// what they tell, so that they can be observed again after a restart. What was
// added less than flushInterval ago is lost with the process.
//
// restore, then start, then add from any goroutine, then stop.
type journal struct {
	client storage.Client
	rules  []string
	window time.Duration
	maxOps int
	logger *zap.Logger
	counts *counts

	mu      sync.Mutex
	open    chunk
	waiting []chunk // full, or refused by the storage
	full    chan struct{}

	// The writing goroutine's alone, from start to stop.
	kept   []keptChunk // oldest first, their numbers follow one another
	index  index
	ops    int // in kept
	failed bool

	bytes    atomic.Int64 // kept, for status
	troubles sparing
	dropping sparing
	quit     chan struct{}
	gone     chan struct{}
}

type keptChunk struct {
	newest int64
	ops    int
	bytes  int
}

func newJournal(client storage.Client, rules []string, cfg *Config, logger *zap.Logger, counts *counts) *journal {
	return &journal{
		client: client, rules: rules, window: cfg.Window, maxOps: cfg.MaxEntries, logger: logger, counts: counts,
		full: make(chan struct{}, 1), quit: make(chan struct{}), gone: make(chan struct{}),
	}
}

// interesting reports whether observing o again would tell the engine
// something: about the span, its process or its group.
func interesting(o *correlate.Observation) bool {
	return len(o.Ops) > 0 || o.Process != 0 || o.Correlation != "" || o.Root && len(o.Links) > 0
}

// add takes batches in their encoding, which it copies, with the number of
// their ops and the time of the last.
func (j *journal) add(batches []byte, ops int, now int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.open.batches = append(j.open.batches, batches...)
	j.open.ops += ops
	j.open.newest = max(j.open.newest, now)
	if len(j.open.batches) >= chunkBytes {
		j.close()
		select {
		case j.full <- struct{}{}:
		default:
		}
	}
}

// close moves the open chunk to those that wait. mu is held.
func (j *journal) close() {
	if len(j.open.batches) > 0 {
		j.waiting = append(j.waiting, j.open)
		j.open = chunk{}
		j.bound()
	}
}

// bound drops the oldest of what waits for a storage that is too slow. mu is
// held.
func (j *journal) bound() {
	size := 0
	for _, c := range j.waiting {
		size += len(c.batches)
	}
	dropped := 0
	for ; size > waitingBytes && len(j.waiting) > 1; dropped++ {
		size -= len(j.waiting[0].batches)
		j.waiting = j.waiting[1:]
	}
	if dropped == 0 {
		return
	}
	j.counts.journalDropped(dropped)
	if hidden, due := j.dropping.due(time.Now()); due {
		j.logger.Warn("The storage takes the journal too slowly: what it would not survive a restart is dropped, oldest first",
			zap.Int("dropped_chunks", dropped), zap.Int("not_logged", hidden))
	}
}

// start begins to write.
func (j *journal) start() { go j.run() }

func (j *journal) run() {
	defer close(j.gone)
	timer := time.NewTimer(flushInterval)
	defer timer.Stop()
	for {
		full, pause := j.full, flushInterval
		if j.failed {
			full, pause = nil, retryPause
		}
		timer.Reset(pause)
		select {
		case <-j.quit:
			return
		case <-full:
		case <-timer.C:
		}
		j.flush(context.Background())
	}
}

// stop writes what is left and closes the client.
func (j *journal) stop(ctx context.Context) error {
	close(j.quit)
	<-j.gone
	err := j.flush(ctx)
	if closeErr := j.client.Close(ctx); err == nil {
		err = closeErr
	}
	return err
}

// flush writes what waits and deletes what the engine has forgotten, in one
// transaction where the storage has such.
func (j *journal) flush(ctx context.Context) error {
	j.mu.Lock()
	j.close()
	chunks := j.waiting
	j.waiting = nil
	j.mu.Unlock()

	ops, index, kept, sum := []*storage.Operation(nil), j.index, j.kept, j.ops
	written := 0
	for i := range chunks {
		value := chunks[i].encode(j.rules)
		ops = append(ops, storage.SetOperation(chunkKey(index.next), value))
		kept = append(kept, keptChunk{chunks[i].newest, chunks[i].ops, len(value)})
		index.next++
		sum += chunks[i].ops
		written += len(value)
	}
	oldest := time.Now().Add(-j.window).UnixNano()
	for len(kept) > 0 && (kept[0].newest < oldest || sum-kept[0].ops >= j.maxOps) {
		ops = append(ops, storage.DeleteOperation(chunkKey(index.first)))
		sum -= kept[0].ops
		kept = kept[1:]
		index.first++
	}
	if len(ops) == 0 {
		return nil
	}
	if err := j.client.Batch(ctx, append(ops, storage.SetOperation(indexKey, index.encode()))...); err != nil {
		j.refused(chunks, err)
		return err
	}
	j.index, j.kept, j.ops, j.failed = index, kept, sum, false
	size := 0
	for _, k := range kept {
		size += k.bytes
	}
	j.bytes.Store(int64(size))
	j.counts.journalFlushed(written)
	return nil
}

// refused takes back what the storage did not.
func (j *journal) refused(chunks []chunk, err error) {
	j.failed = true
	j.counts.journalFailed()
	if hidden, due := j.troubles.due(time.Now()); due {
		j.logger.Warn("The storage does not take the journal: what was observed since would not survive a restart",
			zap.Int("not_logged", hidden), zap.Error(err))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.waiting = append(chunks, j.waiting...)
	j.bound()
}

// restored says what restore found.
type restored struct {
	chunks, damaged, observations int
}

// restore calls observe for each batch that was kept, in order, and goes on
// where the journal ended. What is damaged is left out and logged.
func (j *journal) restore(ctx context.Context, observe func(batch []correlate.Observation, now int64)) (found restored, err error) {
	head, err := j.client.Get(ctx, indexKey)
	if err != nil || head == nil {
		return found, err
	}
	if j.index, err = decodeIndex(head); err != nil {
		j.logger.Warn("The journal's index cannot be read: correlation begins without what was remembered", zap.Error(err))
		return found, nil
	}
	now := time.Now()
	for number := j.index.first; number < j.index.next; number++ {
		value, err := j.client.Get(ctx, chunkKey(number))
		if err != nil {
			return found, err
		}
		c, err := j.again(value, now, func(batch []correlate.Observation, at int64) {
			found.observations += len(batch)
			observe(batch, at)
		})
		if err != nil {
			found.damaged++
			if hidden, due := j.troubles.due(now); due {
				j.logger.Warn("A chunk of the journal is damaged and is left out",
					zap.String("chunk", chunkKey(number)), zap.Int("not_logged", hidden), zap.Error(err))
			}
		}
		found.chunks++
		j.kept = append(j.kept, keptChunk{min(c.newest, now.UnixNano()), c.ops, len(value)})
		j.ops += c.ops
		j.bytes.Add(int64(len(value)))
	}
	return found, nil
}

// again observes one chunk, unless the engine would have forgotten it.
func (j *journal) again(value []byte, now time.Time, observe func(batch []correlate.Observation, now int64)) (chunk, error) {
	c, rules, err := decodeChunk(value)
	if err != nil || c.newest < now.Add(-j.window).UnixNano() {
		return c, err
	}
	return c, c.each(rules, j.rules, func(batch []correlate.Observation, at int64) {
		observe(batch, min(at, now.UnixNano())) // the clock may have been set back
	})
}
