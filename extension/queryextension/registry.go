package queryextension

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/component"

	"github.com/otelscope/otelscope/internal/hub"
)

// registry holds what components registered, by component id. One id may be
// registered several times: a processor has an instance in each pipeline, and
// a reload may start the new instance before it stops the old one. The last
// one that is still registered speaks for the id.
type registry struct {
	status   registrations[func() any]
	letters  registrations[hub.DeadLetters]
	intake   registrations[hub.Intake]
	sampling registrations[hub.Sampling]
}

type registrations[T any] struct {
	mu sync.Mutex
	of map[component.ID][]*registration[T] // in order of registration, never empty
}

type registration[T any] struct{ value T }

// add returns what takes the registration off again, any number of times.
func (r *registrations[T]) add(id component.ID, value T) (remove func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[component.ID][]*registration[T]{}
	}
	added := &registration[T]{value}
	r.of[id] = append(r.of[id], added)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		left := slices.DeleteFunc(slices.Clone(r.of[id]), func(other *registration[T]) bool { return other == added })
		if len(left) == 0 {
			delete(r.of, id)
			return
		}
		r.of[id] = left
	}
}

// named is a registered value under its component id's text.
type named[T any] struct {
	id    string
	value T
}

// list returns one value for each id, ordered by the id's text. The caller
// calls into the values without the lock.
func (r *registrations[T]) list() []named[T] {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]named[T], 0, len(r.of))
	for id, of := range r.of {
		all = append(all, named[T]{id.String(), of[len(of)-1].value})
	}
	slices.SortFunc(all, func(a, b named[T]) int { return cmp.Compare(a.id, b.id) })
	return all
}

// every returns all values, ordered by the ids' text, those of one id in order
// of registration. The caller calls into the values without the lock.
func (r *registrations[T]) every() []named[T] {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []named[T]
	for id, of := range r.of {
		for _, registered := range of {
			all = append(all, named[T]{id.String(), registered.value})
		}
	}
	slices.SortStableFunc(all, func(a, b named[T]) int { return cmp.Compare(a.id, b.id) })
	return all
}

// figures returns each component's part of the status.
func (r *registry) figures() map[string]json.RawMessage {
	parts := map[string]json.RawMessage{}
	for _, part := range r.status.list() {
		parts[part.id] = hub.Figures(part.value)
	}
	return parts
}
