// Package hubtest is a hub and a host for the tests of components that look
// for one.
package hubtest

import (
	"maps"
	"sync"

	"go.opentelemetry.io/collector/component"

	"github.com/otelscope/otelscope/internal/hub"
	"github.com/otelscope/otelscope/internal/store"
)

// ID is the id under which NewHost lists its hub.
var ID = component.MustNewID("scope_query")

// Hub is a hub.Hub over any store, which it neither starts nor closes.
type Hub struct {
	component.StartFunc
	component.ShutdownFunc
	store store.Store

	mu      sync.Mutex
	status  map[component.ID]func() any
	letters map[component.ID]hub.DeadLetters
}

var _ hub.Hub = (*Hub)(nil)

// NewHub returns a hub that shares s.
func NewHub(s store.Store) *Hub {
	return &Hub{store: s, status: map[component.ID]func() any{}, letters: map[component.ID]hub.DeadLetters{}}
}

// Store implements hub.Hub.
func (h *Hub) Store() store.Store { return h.store }

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
