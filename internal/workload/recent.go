package workload

// recent remembers at least the last n entries that were put, and at most
// twice as many.
type recent[V any] struct {
	n        int
	now, old map[string]V
}

func newRecent[V any](n int) recent[V] { return recent[V]{n: n, now: map[string]V{}} }

func (r *recent[V]) put(id string, v V) {
	if len(r.now) >= r.n {
		r.now, r.old = map[string]V{}, r.now
	}
	r.now[id] = v
}

func (r *recent[V]) get(id string) (V, bool) {
	v, ok := r.now[id]
	if !ok {
		v, ok = r.old[id]
	}
	return v, ok
}
