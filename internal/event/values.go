package event

import "fmt"

// values collects the attributes of the events of one body. Finished lists are
// parts of shared chunks, so that an event costs no allocation of its own.
type values struct {
	open   []KeyValue // of the maps being read, innermost last
	chunk  []KeyValue
	arrays []Value // of the arrays being read, innermost last
	count  int     // of values so far, in the whole body
}

const (
	minChunk = 8
	maxChunk = 256

	// fewKeys is up to where comparing a key with all before it is faster than
	// a map.
	fewKeys = 16
)

// reset drops what an invalid event left open.
func (v *values) reset() {
	v.open, v.arrays = v.open[:0], v.arrays[:0]
}

// one counts a value, and fails when the body holds too many.
func (v *values) one() error {
	if v.count++; v.count > maxValues {
		return fmt.Errorf("more than %d attribute values: %w", maxValues, ErrTooMuch)
	}
	return nil
}

// keys finds keys that one map holds twice.
type keys struct {
	base int // where the map begins in values.open
	many map[string]struct{}
}

// repeats reports whether the open map holds the key already.
func (k *keys) repeats(v *values, key string) bool {
	held := v.open[k.base:]
	if len(held) < fewKeys {
		for i := range held {
			if held[i].Key == key {
				return true
			}
		}
		return false
	}
	if k.many == nil {
		k.many = make(map[string]struct{}, 2*fewKeys)
		for i := range held {
			k.many[held[i].Key] = struct{}{}
		}
	}
	_, ok := k.many[key]
	k.many[key] = struct{}{}
	return ok
}

// closeMap returns the key-value pairs opened since base, nil for none.
func (v *values) closeMap(base int) []KeyValue {
	pairs := v.open[base:]
	n := len(pairs)
	if n == 0 {
		return nil
	}
	if cap(v.chunk)-len(v.chunk) < n {
		v.chunk = make([]KeyValue, 0, max(n, minChunk, min(maxChunk, 2*cap(v.chunk))))
	}
	start := len(v.chunk)
	v.chunk = append(v.chunk, pairs...)
	v.open = v.open[:base]
	return v.chunk[start : start+n : start+n]
}

// closeArray returns the values opened since base, nil for none.
func (v *values) closeArray(base int) []Value {
	if len(v.arrays) == base {
		return nil
	}
	array := append([]Value(nil), v.arrays[base:]...)
	v.arrays = v.arrays[:base]
	return array
}
