package queryextension

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/views"
)

// viewSums keeps the views: what the blocks' summaries add up to, and the
// parts that are in no block yet.
type viewSums struct {
	logger *zap.Logger
	ready  chan *views.Summary // from rotate to summary; the store asks for each before it rotates again

	// The follower's goroutine alone uses these.
	reader   viewReader
	last     *store.Commit // for looking up; nil before the first
	received int64         // of the last commit
	unsure   int           // ends that were not known when lookBack was called last, and may not be yet

	mu      sync.Mutex
	live    *views.Views
	parts   []*views.Summary // complete ones that are in no block, the oldest first
	cut     int              // how many parts before are in blocks
	blocks  *views.Summary   // of all blocks; replaced, never changed
	numbers []uint64         // of the blocks that are in it
}

func newViewSums(logger *zap.Logger) *viewSums {
	return &viewSums{
		logger: logger, ready: make(chan *views.Summary, 1),
		live: views.New(), blocks: views.NewSummary(),
	}
}

const (
	// addAtOnce is how many spans are added before a reader gets its turn.
	addAtOnce = 512
	// unsureAtMost is how many ends of edges wait before the older half of
	// them is looked up; the rest may be of spans that are on their way.
	unsureAtMost = 16384
	// lookedUpAtOnce is how many ends are looked up before a request is
	// answered: with a hundred blocks that takes some milliseconds.
	lookedUpAtOnce = 512
	// unsureFor is about how long an end that does not come waits to be
	// looked up.
	unsureFor = time.Second
)

// add adds what a commit made complete.
func (v *viewSums) add(ctx context.Context, c *store.Commit, spans []store.Span) {
	v.last, v.received = c, c.Received
	for some := range slices.Chunk(spans, addAtOnce) {
		if unsure := v.addSome(some); unsure >= unsureAtMost {
			v.lookUp(ctx, unsureAtMost, unsureAtMost/2)
		}
	}
}

func (v *viewSums) addSome(spans []store.Span) (unsure int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range spans {
		span, err := v.reader.read(s)
		if err != nil { // it went through the store's own parser
			v.logger.Warn("A stored span is not in the views", zap.Error(err))
			continue
		}
		v.live.Add(span)
	}
	return v.live.Unsure()
}

// lookUp looks up ends of edges, at most so many, but for some of the latest.
func (v *viewSums) lookUp(ctx context.Context, most, latest int) {
	v.mu.Lock()
	refs := v.live.Unknown(most, latest)
	v.unsure = min(v.unsure, v.live.Unsure())
	v.mu.Unlock()
	if len(refs) == 0 {
		return
	}
	spans, err := v.stored(ctx, refs)
	if err != nil && !errors.Is(err, store.ErrClosed) && ctx.Err() == nil {
		v.logger.Warn("Views miss edges whose other end could not be looked up", zap.Error(err))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.live.Found(refs, spans)
}

// stored returns those of the spans that were told of by now and are
// complete; what came later will be told yet.
func (v *viewSums) stored(ctx context.Context, refs []causal.SpanRef) ([]views.Span, error) {
	found, err := v.last.Named(ctx, refs)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(found, func(a, b store.Span) int { return cmp.Compare(a.Received, b.Received) })
	var spans []views.Span
	for _, s := range found {
		span, err := v.reader.read(s)
		if err != nil {
			return nil, err
		}
		if !v.reader.open && s.Received <= v.received {
			span.Edges = slices.Clone(span.Edges)
			spans = append(spans, *span)
		}
	}
	return spans, nil
}

// settle looks up what is not known, as much as a request may wait for.
func (v *viewSums) settle(ctx context.Context) { v.lookUp(ctx, lookedUpAtOnce, 0) }

// lookBack looks up what was not known when it was called last.
func (v *viewSums) lookBack(ctx context.Context) {
	v.mu.Lock()
	unsure := v.live.Unsure()
	v.mu.Unlock()
	v.lookUp(ctx, unsureAtMost, unsure-v.unsure)
	v.mu.Lock()
	v.unsure = v.live.Unsure()
	v.mu.Unlock()
}

// rotate ends the part.
func (v *viewSums) rotate(ctx context.Context) {
	v.lookUp(ctx, math.MaxInt, 0)
	v.mu.Lock()
	done := v.live.Rotate()
	v.parts = append(v.parts, done)
	v.mu.Unlock()
	select {
	case v.ready <- done:
	case <-ctx.Done():
	}
}

// summary is store.Follower's Summary.
func (v *viewSums) summary(stop <-chan struct{}) ([]byte, error) {
	select {
	case done := <-v.ready:
		return done.Encode()
	case <-stop:
		return nil, errors.New("the store is closing")
	}
}

func (v *viewSums) merge(summaries [][]byte) ([]byte, error) {
	sum, err := views.MergeEncoded(summaries)
	if err != nil {
		return nil, err
	}
	return sum.Encode()
}

// setBlocks is store.Follower's Blocks. It adds what is new to the sum; when
// blocks are gone it sums up all again.
func (v *viewSums) setBlocks(parts int, blocks []store.BlockSummary) {
	v.mu.Lock()
	old, known := v.blocks, v.numbers
	v.mu.Unlock()
	numbers := make([]uint64, len(blocks))
	for i, b := range blocks {
		numbers[i] = b.Number
	}
	sum := views.NewSummary()
	if len(known) <= len(numbers) && slices.Equal(known, numbers[:len(known)]) {
		sum.Add(old)
		blocks = blocks[len(known):]
	}
	var pending []views.Pending
	for _, b := range blocks {
		s, err := summaryOf(b)
		if err != nil {
			v.logger.Warn("Views are incomplete: a block's summary cannot be used", zap.Uint64("block", b.Number), zap.Error(err))
			s = &views.Summary{Missing: 1}
		}
		pending = append(pending, s.Pending...)
		s.Pending = nil
		sum.Add(s)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.numbers == nil { // the store opens: what its blocks' spans wait for may come
		v.live.Await(pending)
	}
	v.blocks, v.numbers = sum, numbers
	v.parts = v.parts[parts-v.cut:]
	v.cut = parts
}

func summaryOf(b store.BlockSummary) (*views.Summary, error) {
	encoded, err := b.Read()
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return views.MergeEncoded([][]byte{encoded})
}

// with calls f with what the views are the sum of. f must not keep it.
func (v *viewSums) with(f func(of []*views.Summary)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f(slices.Concat([]*views.Summary{v.blocks}, v.parts, []*views.Summary{v.live.Part()}))
}
