// Package hubtest is a hub and a host for the tests of components that look
// for one.
package hubtest

import (
	"maps"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/otelscope/otelscope/internal/hub"
	"github.com/otelscope/otelscope/internal/pressure"
	"github.com/otelscope/otelscope/internal/store"
)

// ID is the id under which NewHost lists its hub.
var ID = component.MustNewID("scope_query")

// Hub is a hub.Hub over any store, which it neither starts nor closes.
type Hub struct {
	component.StartFunc
	component.ShutdownFunc
	store   store.Store
	monitor *pressure.Monitor

	mu       sync.Mutex
	status   map[component.ID]func() any
	letters  map[component.ID]hub.DeadLetters
	intake   map[component.ID]hub.Intake
	sampling map[component.ID]hub.Sampling
}

var _ hub.Hub = (*Hub)(nil)

// NewHub returns a hub that shares s, and a monitor that nobody steps but the
// test.
func NewHub(s store.Store) *Hub {
	return &Hub{
		store: s, monitor: pressure.NewMonitor(time.Now),
		status: map[component.ID]func() any{}, letters: map[component.ID]hub.DeadLetters{},
		intake: map[component.ID]hub.Intake{}, sampling: map[component.ID]hub.Sampling{},
	}
}

// Store implements hub.Hub.
func (h *Hub) Store() store.Store { return h.store }

// Pressure implements hub.Hub.
func (h *Hub) Pressure() *pressure.Monitor { return h.monitor }

// RegisterIntake implements hub.Hub.
func (h *Hub) RegisterIntake(id component.ID, levers hub.Intake) (unregister func()) {
	return register(h, h.intake, id, levers)
}

// RegisterSampling implements hub.Hub.
func (h *Hub) RegisterSampling(id component.ID, levers hub.Sampling) (unregister func()) {
	return register(h, h.sampling, id, levers)
}

// RegisterStatus implements hub.Hub.
func (h *Hub) RegisterStatus(id component.ID, figures func() any) (unregister func()) {
	return register(h, h.status, id, figures)
}

// RegisterDeadLetters implements hub.Hub.
func (h *Hub) RegisterDeadLetters(id component.ID, letters hub.DeadLetters) (unregister func()) {
	return register(h, h.letters, id, letters)
}

func register[T any](h *Hub, in map[component.ID]T, id component.ID, value T) (unregister func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	in[id] = value
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(in, id)
	}
}

// Status returns what is registered now.
func (h *Hub) Status() map[component.ID]func() any {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.status)
}

// Intake returns what is registered now.
func (h *Hub) Intake() map[component.ID]hub.Intake {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.intake)
}

// Sampling returns what is registered now.
func (h *Hub) Sampling() map[component.ID]hub.Sampling {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.sampling)
}

// DeadLetters returns what is registered now.
func (h *Hub) DeadLetters() map[component.ID]hub.DeadLetters {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.letters)
}

// Host is a component.Host with extensions.
type Host map[component.ID]component.Component

// NewHost returns a host that lists h under ID.
func NewHost(h hub.Hub) Host { return Host{ID: h} }

// GetExtensions implements component.Host.
func (h Host) GetExtensions() map[component.ID]component.Component { return h }
