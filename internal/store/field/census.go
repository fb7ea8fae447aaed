package field

import (
	"bytes"
	"slices"
)

// Bounds on what a census keeps. A field beyond them is not in it; of a field
// with more or longer values those that came first are.
const (
	maxFields = 1024
	maxKey    = 256
	maxValues = 1024
	maxText   = 256
	maxBytes  = 1 << 20 // of all values together, about
)

// Census collects the fields that spans have and their values, as far as its
// bounds go. It is for one goroutine at a time.
type Census struct {
	tallies map[uint64]*Tally
	recent  [256]*Tally // those that were asked for last, see slotOf
	bytes   int
	partial bool
}

// Tally is what a census knows of one field.
type Tally struct {
	field  Field
	hash   uint64
	seen   map[uint64]struct{} // the values' hashes
	values []Value
	full   bool
}

// NewCensus returns an empty census.
func NewCensus() *Census { return &Census{tallies: map[uint64]*Tally{}} }

// Reset forgets everything; tallies that were returned must not be used then.
func (c *Census) Reset() {
	clear(c.tallies)
	clear(c.recent[:])
	c.bytes, c.partial = 0, false
}

// Tally returns a field's hash and tally; nil for a field that is left out.
func (c *Census) Tally(of Of, key []byte) (hash uint64, t *Tally) {
	slot := &c.recent[slotOf(of, key)]
	if t = *slot; t != nil && t.field.Key == string(key) && t.field.Of == of {
		return t.hash, t
	}
	hash = HashOf(of, key)
	if t = c.find(hash, of, key); t == nil {
		return hash, nil
	}
	if t.field.Of != of || t.field.Key != string(key) {
		c.partial = true // another field has the hash
		return hash, nil
	}
	*slot = t
	return hash, t
}

// slotOf is where in recent a field may be: cheaper than its hash.
func slotOf(of Of, key []byte) byte {
	n := len(key)
	if n == 0 {
		return byte(of)
	}
	return byte(n)*29 ^ key[n-1]*13 ^ key[n/2]*7 ^ byte(of)*61
}

func (c *Census) find(hash uint64, of Of, key []byte) *Tally {
	if t := c.tallies[hash]; t != nil {
		return t
	}
	if len(c.tallies) == maxFields || len(key) > maxKey {
		c.partial = true
		return nil
	}
	t := &Tally{field: Field{of, string(key)}, hash: hash, seen: map[uint64]struct{}{}}
	c.tallies[hash] = t
	return t
}

// Note adds a value of the field with that tally, which may be nil, if it was
// not noted before. hash is the value's.
func (c *Census) Note(t *Tally, hash uint64, v Value) {
	if t == nil || t.full {
		return
	}
	if _, seen := t.seen[hash]; seen {
		return
	}
	if len(t.values) == maxValues || len(v.text) > maxText || c.bytes > maxBytes {
		t.full, t.seen = true, nil
		return
	}
	v.text = bytes.Clone(v.text)
	t.seen[hash] = struct{}{}
	t.values = append(t.values, v)
	c.bytes += len(v.text) + 64
}

// Add notes an attribute. Values of kinds that fields do not have are left out.
func (c *Census) Add(of Of, key []byte, v Value) {
	hash, t := c.Tally(of, key)
	if t != nil && !t.full {
		c.Note(t, v.Hash(hash), v)
	}
}

// Partial reports whether there were fields that are left out.
func (c *Census) Partial() bool { return c.partial }

// Tallies returns what is known, by field.
func (c *Census) Tallies() []*Tally {
	all := make([]*Tally, 0, len(c.tallies))
	for _, t := range c.tallies {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *Tally) int { return Compare(a.field, b.field) })
	return all
}

// Of returns the tally of a field, nil if it has none.
func (c *Census) Of(f Field) *Tally {
	if t := c.tallies[f.Hash()]; t != nil && t.field == f {
		return t
	}
	return nil
}

// Field is what the tally is of.
func (t *Tally) Field() Field { return t.field }

// Full reports whether there are values that are left out. It stays so.
func (t *Tally) Full() bool { return t.full }

// Values returns the values, in the order in which they came. It is the
// tally's own.
func (t *Tally) Values() []Value { return t.values }
