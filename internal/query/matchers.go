package query

import (
	"cmp"
	"slices"

	"github.com/otelscope/otelscope/internal/traceql"
)

// Matchers are many matchers that are asked together. What a query needs a
// field to equal, a text or an integer, leads from a span's value to the query,
// so that a span costs a look-up for each such field and not an evaluation for
// each query. It is immutable.
type Matchers struct {
	all     []*Matcher
	byField []matchersOf
	rest    []int // those that need no such thing
}

// matchersOf are the matchers that are found by what they need of a field.
// They are numbers of all.
type matchersOf struct {
	field  field
	texts  map[string][]int
	ints   map[int64][]int
	anyInt []int // all of ints
}

// NewMatchers returns the matchers together.
func NewMatchers(all []*Matcher) *Matchers {
	needed := make([][]need, len(all))
	times := map[needKey]int{}
	for i, matcher := range all {
		needed[i] = needs(nil, matcher.predicate)
		for j := range needed[i] {
			times[needed[i][j].key()]++
		}
	}
	m := &Matchers{all: all}
	places := map[fieldKey]int{}
	for i, of := range needed {
		if len(of) == 0 {
			m.rest = append(m.rest, i)
			continue
		}
		// What few others need tells it best from them.
		rarest := slices.MinFunc(of, func(a, b need) int { return cmp.Compare(times[a.key()], times[b.key()]) })
		key := rarest.field.key()
		at, known := places[key]
		if !known {
			at = len(m.byField)
			places[key] = at
			m.byField = append(m.byField, matchersOf{field: rarest.field, texts: map[string][]int{}, ints: map[int64][]int{}})
		}
		m.byField[at].add(rarest.value, i)
	}
	return m
}

// Match calls found with the number of each matcher that the record matches,
// in no order.
func (m *Matchers) Match(r *Record, found func(number int)) {
	m.try(m.rest, r, found)
	for i := range m.byField {
		m.try(m.byField[i].candidates(r), r, found)
	}
}

func (m *Matchers) try(numbers []int, r *Record, found func(int)) {
	for _, n := range numbers {
		if m.all[n].Matches(r) {
			found(n)
		}
	}
}

func (m *matchersOf) add(needed value, number int) {
	if needed.kind == textValue {
		m.texts[string(needed.text)] = append(m.texts[string(needed.text)], number)
		return
	}
	m.ints[needed.int] = append(m.ints[needed.int], number)
	m.anyInt = append(m.anyInt, number)
}

// candidates are those that may match a record.
func (m *matchersOf) candidates(r *Record) []int {
	switch v := r.value(&m.field, 0, 0); v.kind {
	case textValue:
		return m.texts[string(v.text)]
	case intValue, durationValue:
		return m.ints[v.int]
	case realValue:
		return m.anyInt // several integers may equal it
	}
	return nil
}

// need is a field of one value that must equal a text or an integer.
type need struct {
	field field
	value value
}

// fieldKey is what makes two fields one; needKey, two needs.
type (
	fieldKey struct {
		place     place
		intrinsic traceql.Intrinsic
		name      string
	}
	needKey struct {
		field fieldKey
		kind  valueKind
		int   int64
		text  string
	}
)

func (f *field) key() fieldKey { return fieldKey{f.place, f.intrinsic, f.name} }

func (n *need) key() needKey {
	return needKey{n.field.key(), n.value.kind, n.value.int, string(n.value.text)}
}

// needs appends what is so wherever the predicate holds.
func needs(to []need, p predicate) []need {
	switch p := p.(type) {
	case conjoined:
		return needs(needs(to, p.left), p.right)
	case *compared:
		if p.op != traceql.Equal {
			break
		}
		for _, pair := range [][2]field{{p.left, p.right}, {p.right, p.left}} {
			literal := pair[1].literal
			if pair[0].single() && pair[1].place == literalPlace && (literal.kind == textValue || literal.kind == intValue) {
				to = append(to, need{pair[0], literal})
			}
		}
	}
	return to
}

// single reports whether the field has one value or none, whatever the trace.
func (f *field) single() bool {
	switch f.place {
	case intrinsicPlace, eitherPlace, spanPlace, resourcePlace, scopePlace:
		return true
	}
	return false
}
