package store

import (
	"slices"
	"strings"
	"sync"
)

// trouble is what does not work now, by what it keeps from happening.
type trouble struct {
	mu      sync.Mutex
	reasons map[EventKind]string
}

func (t *trouble) set(kind EventKind, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reasons == nil {
		t.reasons = map[EventKind]string{}
	}
	t.reasons[kind] = err.Error()
}

func (t *trouble) clear(kind EventKind) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.reasons, kind)
}

func (t *trouble) String() string { return t.of(func(EventKind) bool { return true }) }

// refusing is that part for which no write is taken.
func (t *trouble) refusing() string {
	return t.of(func(kind EventKind) bool { return kind == EventAppend || kind == EventSpace })
}

func (t *trouble) of(counts func(EventKind) bool) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for kind, reason := range t.reasons {
		if counts(kind) {
			all = append(all, string(kind)+": "+reason)
		}
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// failed notes a failure where figures and logs will show it.
func (e *engine) failed(kind EventKind, err error) {
	e.trouble.set(kind, err)
	e.cfg.Observe(Event{Kind: kind, Err: err})
}
