package ring

// node is what a heap holds: it has an order, and it keeps its own place, so
// that it can be removed from the middle.
type node[T any] interface {
	before(T) bool
	place() *int
}

// heap is a binary heap, the first in order at index 0.
type heap[T node[T]] []T

// maxIdleSlots is how much of its space an empty heap keeps: one burst must
// not size all partitions for ever.
const maxIdleSlots = 1024

func (h *heap[T]) push(x T) {
	*h = append(*h, x)
	h.up(len(*h)-1, x)
}

func (h *heap[T]) remove(x T) {
	s, i := *h, *x.place()
	n := len(s) - 1
	last := s[n]
	var none T
	s[n] = none
	*h = s[:n]
	if i < n {
		s[i] = last
		*last.place() = i
		h.fix(last)
	} else if n == 0 && cap(s) > maxIdleSlots {
		*h = nil
	}
}

// fix moves x to where it belongs after its order has changed.
func (h *heap[T]) fix(x T) {
	i := *x.place()
	if i > 0 && x.before((*h)[(i-1)/2]) {
		h.up(i, x)
	} else {
		h.down(i, x)
	}
}

// up and down put x, which is at i or will be, in its place.
func (h *heap[T]) up(i int, x T) {
	s := *h
	for i > 0 {
		parent := (i - 1) / 2
		if !x.before(s[parent]) {
			break
		}
		s[i] = s[parent]
		*s[i].place() = i
		i = parent
	}
	s[i] = x
	*x.place() = i
}

func (h *heap[T]) down(i int, x T) {
	s := *h
	for {
		child := 2*i + 1
		if child >= len(s) {
			break
		}
		if child+1 < len(s) && s[child+1].before(s[child]) {
			child++
		}
		if !s[child].before(x) {
			break
		}
		s[i] = s[child]
		*s[i].place() = i
		i = child
	}
	s[i] = x
	*x.place() = i
}
