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

// The pace of scaling, times in decisions.
const (
	scaleInterval = 50 * time.Millisecond // of decisions
	scaleUpAfter  = 10 * time.Millisecond // that work has waited
	scaleUpAt     = 2                     // pressed ones in a row before more workers come
	scaleDownAt   = 200                   // idle ones in a row before one goes: 10 s
	// A worker that is missed within scaleRegret went too early: from then on
	// it takes twice as long, up to scaleDownMost, until two have gone and
	// neither was missed.
	scaleRegret   = 600
	scaleDownMost = 8 * scaleDownAt
)

// scaler decides how many workers run. It grows fast and shrinks slowly, and
// more slowly where work comes back, so that bursts do not make it swing.
type scaler struct {
	pressed  int // decisions in a row that saw too few workers
	idle     int // decisions in a row that saw too many workers
	patience int // idle decisions until one goes
	gone     int // decisions since one went, 0 if none did since more came
}

func newScaler() *scaler { return &scaler{patience: scaleDownAt} }

// next returns how many workers there should be now. More come when all are
// busy and either a full batch waits or something has waited too long, unless
// it is for the pipeline, which refuses; one goes when for a while fewer than
// half had anything to do.
func (s *scaler) next(l load, workers WorkersConfig, batch BatchConfig) int {
	late := l.waiting >= int64(batch.MaxSize) || l.oldest >= scaleUpAfter
	s.pressed = inARow(s.pressed, l.busy >= l.workers && late && 2*l.retrying <= l.busy)
	s.idle = inARow(s.idle, 2*l.busy < l.workers)
	if s.gone > 0 {
		s.gone++
	}
	target := l.workers
	switch {
	case s.pressed >= scaleUpAt:
		target += max(1, l.workers/2)
		if s.gone > 0 && s.gone <= scaleRegret {
			s.patience = min(2*s.patience, scaleDownMost)
		}
		s.gone = 0
	case s.idle >= s.patience && l.workers > workers.Min:
		target--
		if s.gone > 0 {
			s.patience = max(s.patience/2, scaleDownAt)
		}
		s.idle, s.gone = 0, 1
	}
	return min(max(target, workers.Min), workers.Max)
}

func inARow(n int, another bool) int {
	if another {
		return n + 1
	}
	return 0
}
