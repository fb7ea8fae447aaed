package scopereceiver

import "time"

// load is what the policies below decide by.
type load struct {
	workers  int           // that run
	busy     int           // that hold a batch
	retrying int           // of busy: with what the pipeline has refused for now
	waiting  int64         // items in the ring that no worker holds
	oldest   time.Duration // how long the first of them has waited
}

// mostShares bounds into how many batches a backlog is split. Every batch
// repeats the resources of its spans and costs a write of its own, so many
// workers must not mean many small batches.
const mostShares = 4

// batchTarget returns how much a worker should take at once: its share of what
// waits, within the bounds. So batches are small while the receiver keeps up,
// and grow with the backlog.
func batchTarget(l load, bounds BatchConfig) int {
	if l.workers < 1 {
		return bounds.MinSize
	}
	shares := int64(min(l.workers, mostShares))
	share := (l.waiting + shares - 1) / shares
	return int(min(max(share, int64(bounds.MinSize)), int64(bounds.MaxSize)))
}

// The pace of scaling: decisions a second, how long work may wait before more
// workers come, and how long some must be idle before one goes.
const (
	scaleInterval = 50 * time.Millisecond
	scaleUpAfter  = 10 * time.Millisecond
	scaleDownAt   = 100 // idle decisions in a row: 5 s
)

// scaler decides how many workers run. It grows fast and shrinks slowly, so
// that bursts do not make it swing.
type scaler struct {
	idle int // decisions in a row that saw too many workers
}

// next returns how many workers there should be now. More come when all are
// busy and either a full batch waits or something has waited too long; one
// goes when for a while fewer than half had anything to do.
func (s *scaler) next(l load, workers WorkersConfig, batch BatchConfig) int {
	overloaded := l.busy >= l.workers && (l.waiting >= int64(batch.MaxSize) || l.oldest >= scaleUpAfter)
	underused := l.busy*2 < l.workers && l.waiting == 0
	if !underused {
		s.idle = 0
	}
	target := l.workers
	switch {
	case overloaded:
		target += max(1, l.workers/2)
	case underused:
		if s.idle++; s.idle >= scaleDownAt {
			s.idle = 0
			target--
		}
	}
	return min(max(target, workers.Min), workers.Max)
}
