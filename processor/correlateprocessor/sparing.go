package correlateprocessor

import (
	"sync"
	"time"
)

// logPause is the least time between two logs of one kind of trouble.
const logPause = time.Minute

// sparing lets one log of its kind pass each logPause.
type sparing struct {
	mu     sync.Mutex
	logged time.Time
	hidden int // since then
}

// due says whether there may be a log now, and how many were hidden since the
// last.
func (s *sparing) due(now time.Time) (hidden int, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.logged.IsZero() && now.Sub(s.logged) < logPause {
		s.hidden++
		return 0, false
	}
	hidden, s.hidden, s.logged = s.hidden, 0, now
	return hidden, true
}
