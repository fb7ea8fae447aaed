package pressure

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Interval is how often a monitor should be stepped.
const Interval = 100 * time.Millisecond

// maxHistory bounds the changes of level that are remembered.
const maxHistory = 64

// Change is a change of level.
type Change struct {
	Time   time.Time `json:"time"`
	From   Level     `json:"from"`
	To     Level     `json:"to"`
	Score  float64   `json:"score"`
	Reason string    `json:"reason"`
}

// Monitor is a Policy with its sources. Its methods may be called from any
// goroutine.
type Monitor struct {
	now   func() time.Time
	state atomic.Pointer[State]

	// step serializes steps, so that sources are read outside of mu.
	step sync.Mutex

	mu      sync.Mutex
	policy  *Policy
	sources []*registered
	owners  []*owner // of settings, the last one's are in force
	history []Change
	changes int // that there ever were
}

type registered struct {
	read  Source
	kinds map[Kind]bool // that it has said
}

type owner struct {
	name     string
	settings Settings
}

// NewMonitor returns a monitor at Normal, with DefaultSettings, that reads the
// time from now.
func NewMonitor(now func() time.Time) *Monitor {
	m := &Monitor{now: now, policy: NewPolicy(DefaultSettings(), now())}
	s := m.policy.Step(now(), nil)
	m.state.Store(&s)
	return m
}

// Register adds a source. The returned func takes it off, and may be called
// more than once.
func (m *Monitor) Register(read Source) (unregister func()) {
	s := &registered{read: read, kinds: map[Kind]bool{}}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sources = append(m.sources, s)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sources = slices.DeleteFunc(m.sources, func(other *registered) bool { return other == s })
		for kind := range s.kinds {
			if !slices.ContainsFunc(m.sources, func(other *registered) bool { return other.kinds[kind] }) {
				m.policy.Forget(kind)
			}
		}
	}
}

// Configure puts settings in force in the name of an owner, a component's id.
// There can be one owner with several instances, which must agree on the
// thresholds; another one is an error. The returned func ends it, and may be
// called more than once.
func (m *Monitor) Configure(name string, s Settings) (release func(), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.owners {
		if o.name != name {
			return nil, fmt.Errorf("the level of pressure is set by %q already: one pressure processor for each hub", o.name)
		}
	}
	o := &owner{name, s}
	m.owners = append(m.owners, o)
	m.policy.Configure(s)
	return func() { m.release(o) }, nil
}

func (m *Monitor) release(o *owner) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := slices.Index(m.owners, o)
	if at < 0 {
		return
	}
	m.owners = slices.Delete(m.owners, at, at+1)
	switch left := len(m.owners); {
	case left == 0:
		m.policy.Configure(DefaultSettings())
	case at == left: // its settings were in force
		m.policy.Configure(m.owners[left-1].settings)
	}
}

// SetStrategy changes the strategy at all levels, from the next step until it
// is configured again.
func (m *Monitor) SetStrategy(s Strategy) {
	m.mu.Lock()
	defer m.mu.Unlock()
	settings := m.policy.settings
	settings.Strategy, settings.ByLevel = s, nil
	m.policy.Configure(settings)
}

// Run steps the monitor every Interval until ctx ends.
func (m *Monitor) Run(ctx context.Context) {
	ticker := time.NewTicker(Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.Step()
		}
	}
}

// Step reads all sources and brings the state up to date.
func (m *Monitor) Step() {
	m.step.Lock()
	defer m.step.Unlock()
	m.mu.Lock()
	sources := slices.Clone(m.sources)
	m.mu.Unlock()
	said := make([][]Reading, len(sources))
	for i, s := range sources {
		said[i] = read(s.read)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var readings []Reading
	for i, s := range sources {
		if !slices.Contains(m.sources, s) {
			continue // taken off meanwhile
		}
		for _, r := range said[i] {
			s.kinds[r.Kind] = true
		}
		readings = append(readings, said[i]...)
	}
	before := m.policy.level
	now := m.now()
	state := m.policy.Step(now, readings)
	if state.Level != before {
		m.history = append(m.history, Change{now, before, state.Level, state.Score, state.Reason})
		m.history = m.history[max(0, len(m.history)-maxHistory):]
		m.changes++
	}
	m.state.Store(&state)
}

// read keeps a source that panics from ending everything.
func read(s Source) (readings []Reading) {
	defer func() {
		if recover() != nil {
			readings = nil
		}
	}()
	return s()
}

// State returns the outcome of the last step. Its slices must not be changed.
func (m *Monitor) State() State { return *m.state.Load() }

// Level is State().Level, for hot paths.
func (m *Monitor) Level() Level { return m.state.Load().Level }

// History returns the last changes of level, oldest first.
func (m *Monitor) History() []Change {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.history)
}

// ChangesAfter returns the changes of level after the first n, oldest first,
// as far as they are remembered, and how many there have been.
func (m *Monitor) ChangesAfter(n int) (changes []Change, total int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fresh := min(m.changes-n, len(m.history))
	return slices.Clone(m.history[len(m.history)-fresh:]), m.changes
}
