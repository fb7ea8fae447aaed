package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// recorder is a follower whose summaries are lists of what it was told. It has
// no goroutine: it catches up when it is asked.
type recorder struct {
	mu       sync.Mutex
	queue    []*store.Commit // nil stands for Rotated
	parts    [][]string      // that are in no block, the last one incomplete
	asked    int             // parts that Summary was called for
	cut      int             // parts that are in blocks
	blocks   []string        // what the blocks' summaries list
	numbers  []uint64
	received int64
	errs     []error
}

func newRecorder() *recorder { return &recorder{parts: [][]string{nil}} }

func (r *recorder) Committed(c *store.Commit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Received <= r.received {
		r.fail("commit at %d after one at %d", c.Received, r.received)
	}
	r.received = c.Received
	r.queue = append(r.queue, c)
}

func (r *recorder) Rotated() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = append(r.queue, nil)
}

func (r *recorder) fail(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf(format, args...))
}

// next takes one entry of the queue; true means that it was the end of a part.
func (r *recorder) next() (rotated bool) {
	c := r.queue[0]
	r.queue = r.queue[1:]
	if c == nil {
		r.parts = append(r.parts, nil)
		return true
	}
	spans, err := c.Spans()
	if err != nil {
		r.fail("commit at %d: %w", c.Received, err)
	}
	last := len(r.parts) - 1
	for _, s := range spans {
		r.parts[last] = append(r.parts[last], r.key(s))
	}
	return false
}

func (r *recorder) key(s store.Span) string {
	p, err := storetest.Decode(s)
	if err != nil || p.Open() {
		r.fail("told of %s: open, or %w", p, err)
	}
	return keyOf(p)
}

// keyOf names a span as the store knows it again.
func keyOf(p storetest.Plain) string {
	s := p.Span()
	return fmt.Sprintf("%s/%s/%d at %d", s.TraceID(), s.SpanID(), s.Kind(), s.StartTimestamp())
}

func (r *recorder) Summary(<-chan struct{}) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.asked - r.cut
	for r.asked++; len(r.parts) <= at+1; {
		r.next()
	}
	return encodeList(r.parts[at]), nil
}

func encodeList(list []string) []byte {
	encoded, _ := json.Marshal(slices.Concat([]string{}, list)) // never null
	return encoded
}

func (r *recorder) Merge(summaries [][]byte) ([]byte, error) {
	var all []string
	for _, s := range summaries {
		list, err := decodeList(s)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return encodeList(all), nil
}

func decodeList(s []byte) (list []string, err error) {
	if s == nil {
		return nil, errors.New("a block without a summary")
	}
	return list, json.Unmarshal(s, &list)
}

func (r *recorder) Blocks(parts int, blocks []store.BlockSummary) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parts = r.parts[parts-r.cut:]
	r.cut = parts
	r.blocks, r.numbers = nil, nil
	for _, b := range blocks {
		s, err := b.Read()
		if err != nil {
			r.fail("block %d: %w", b.Number, err)
			continue
		}
		list, err := decodeList(s)
		if err != nil {
			r.fail("block %d: %w", b.Number, err)
		}
		r.blocks = append(r.blocks, list...)
		r.numbers = append(r.numbers, b.Number)
	}
}

// told returns how often each complete span was told.
func (r *recorder) told() (map[string]int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) > 0 {
		r.next()
	}
	told := map[string]int{}
	for _, list := range append(r.parts, r.blocks) {
		for _, key := range list {
			told[key]++
		}
	}
	return told, errors.Join(r.errs...)
}

// check holds what was told to what is stored: each complete span once.
func (r *recorder) check(s store.Store) error {
	told, err := r.told()
	if err != nil {
		return err
	}
	all, err := readAll(s)
	if err != nil {
		return err
	}
	stored := map[string]int{}
	for _, p := range all {
		if !p.Open() {
			stored[keyOf(p)]++
		}
	}
	if !maps.Equal(told, stored) {
		return fmt.Errorf("told %v\nstored %v", told, stored)
	}
	return nil
}
