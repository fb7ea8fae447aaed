package views

import (
	"cmp"
	"maps"
	"slices"
)

// rowOf is a row of numbers that can be added to another.
type rowOf[R any] interface {
	*R
	merge(*R)
	// weight says which rows are kept where there are too many: the heaviest.
	weight() uint64
}

type keyed[K any] interface {
	comparable
	compare(K) int
	// other is the key of the row that stands for those left out; the zero key
	// if there is none and they are dropped.
	other() K
}

// table is rows by key, a bounded number of them. While it grows it may hold
// twice as many.
type table[K keyed[K], R any, P rowOf[R]] struct {
	most    int
	rows    map[K]P
	omitted uint64 // how many rows were left out; one that came again counts again
}

func newTable[K keyed[K], R any, P rowOf[R]](most int) table[K, R, P] {
	return table[K, R, P]{most: most, rows: map[K]P{}}
}

// at returns the row of a key, a new one if there is none. It is valid until
// the next call.
func (t *table[K, R, P]) at(key K) P {
	r, found := t.rows[key]
	if found {
		return r
	}
	if len(t.rows) >= 2*t.most {
		t.trim()
	}
	r = new(R)
	t.rows[key] = r
	return r
}

// trim leaves the heaviest rows, and the one for the others.
func (t *table[K, R, P]) trim() {
	if len(t.rows) <= t.most {
		return
	}
	var zero K
	other := zero.other()
	keys := make([]K, 0, len(t.rows))
	for key := range t.rows {
		if key != other {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b K) int {
		return cmp.Or(cmp.Compare(t.rows[b].weight(), t.rows[a].weight()), a.compare(b))
	})
	for _, key := range keys[min(t.most, len(keys)):] {
		if other != zero {
			rest := t.rows[other]
			if rest == nil {
				rest = new(R)
				t.rows[other] = rest
			}
			rest.merge(t.rows[key])
		}
		delete(t.rows, key)
		t.omitted++
	}
}

// merge adds another table's rows. It copies what it takes.
func (t *table[K, R, P]) merge(from *table[K, R, P]) {
	t.omitted += from.omitted
	for key, row := range from.rows {
		mine, found := t.rows[key]
		if !found {
			mine = new(R)
			t.rows[key] = mine
		}
		mine.merge(row)
	}
	t.trim()
}

// entry is a row with its key.
type entry[K, R any] struct {
	Key K `json:"key"`
	Row R `json:"row"`
}

// sorted returns the rows by their keys.
func (t *table[K, R, P]) sorted() []entry[K, R] {
	list := make([]entry[K, R], 0, len(t.rows))
	for _, key := range slices.SortedFunc(maps.Keys(t.rows), K.compare) {
		list = append(list, entry[K, R]{key, *t.rows[key]})
	}
	return list
}
