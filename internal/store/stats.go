package store

import (
	"sync/atomic"
	"time"
)

// figures are the counters behind Stats.
type figures struct {
	cuts, compactions, duplicates, dropped atomic.Int64
	// carried is how many open calls of the frozen head are in the live one by
	// now, where they would count twice.
	carried atomic.Int64

	logSegments, logBytes atomic.Int64 // the log is the committer's: a copy of what it says

	recovered    int64
	recoveryTime time.Duration
}

// logFigures copies the log's figures; for the committer.
func (e *engine) logFigures() {
	e.figures.logSegments.Store(int64(e.log.Segments()))
	e.figures.logBytes.Store(e.log.Size())
}

// Stats implements Store.
func (e *engine) Stats() Stats {
	f := &e.figures
	s := Stats{
		LogSegments:    int(f.logSegments.Load()),
		LogBytes:       f.logBytes.Load(),
		Cuts:           f.cuts.Load(),
		Compactions:    f.compactions.Load(),
		Duplicates:     f.duplicates.Load(),
		DroppedBlocks:  f.dropped.Load(),
		RecoveredSpans: f.recovered,
		RecoverySecs:   f.recoveryTime.Seconds(),
		Trouble:        e.trouble.String(),
		Refusing:       e.trouble.refusing(),
	}
	backlog, stalled := e.in.strain()
	s.Backlog, s.StalledMillis = backlog, stalled.Milliseconds()
	v := e.views.acquire()
	if v == nil {
		return s
	}
	defer e.views.release(v)
	v.figures(&s)
	if v.frozen != nil {
		s.HeadSpans -= f.carried.Load()
		s.OpenCalls -= f.carried.Load()
	}
	s.Spans += s.HeadSpans
	return s
}

// figures adds what the view holds to s.
func (v *view) figures(s *Stats) {
	oldest := int64(0)
	older := func(received int64) {
		if received != 0 && (oldest == 0 || received < oldest) {
			oldest = received
		}
	}
	s.Blocks = len(v.blocks)
	for _, p := range v.blocks {
		s.Spans += p.info.Rows
		s.BlockBytes += p.info.Bytes
		older(p.info.ReceivedMin)
	}
	for _, h := range v.heads() {
		sizes := h.Sizes()
		s.HeadSpans += int64(sizes.Spans)
		s.HeadBytes += sizes.Bytes
		s.OpenCalls += int64(sizes.OpenCalls)
		older(sizes.Oldest)
	}
	if oldest != 0 {
		s.Oldest = time.Unix(0, oldest)
	}
}
