package store

import "github.com/otelscope/otelscope/internal/store/field"

// filter says of encoded spans whether they began within a time and fulfil a
// condition, as far as it knows the condition. It is made for looking at many
// spans: it steps over what the condition does not ask for. It is immutable.
type filter struct {
	start, end uint64 // see Selection
	leaves     []leaf
	root       expression // nil: true
	// Which leaves look where; attributes by place.
	attributes [3][]int
	texts      [3][]int // name, status message, event name
	numbers    [2][]int // kind, status
	lasted     []int
	plain      bool   // there are leaves in the last three
	lengths    uint64 // bit n: an attribute of the span with a key of n modulo 64 bytes is asked for
	resource   uint64 // the leaves that the origin decides
}

// leaf is a condition on one value.
type leaf struct {
	key    string
	accept func(field.Value) bool
	lasted Lasted
}

// expression says what leaves that are true, as bits, make of a condition. More
// of them never make it false.
type expression func(leaves uint64) bool

// maxLeaves is how many leaves a filter looks at; further ones count as true.
const maxLeaves = 64

func newFilter(sel *Selection) *filter {
	f := &filter{start: sel.Start, end: sel.End}
	if f.root = f.compile(sel.Where); f.root == nil {
		return &filter{start: sel.Start, end: sel.End}
	}
	return f
}

// compile returns nil for what is always true.
func (f *filter) compile(c Condition) expression {
	switch c := c.(type) {
	case All:
		return f.compileAll(c)
	case Any:
		return f.compileAny(c)
	case Has:
		want, ok := field.ValueOf(c.Value)
		if !ok {
			return nil
		}
		return f.value(c.Field, want.Equal)
	case Among:
		return f.value(c.Field, func(v field.Value) bool {
			text, ok := v.Text()
			return ok && c.Accept(string(text))
		})
	case Lasted:
		f.plain = true
		return f.leaf(leaf{lasted: c}, &f.lasted)
	}
	return nil
}

func (f *filter) compileAll(all All) expression {
	var parts []expression
	for _, c := range all {
		if e := f.compile(c); e != nil {
			parts = append(parts, e)
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return func(leaves uint64) bool {
		for _, e := range parts {
			if !e(leaves) {
				return false
			}
		}
		return true
	}
}

func (f *filter) compileAny(any Any) expression {
	parts := make([]expression, 0, len(any))
	for _, c := range any {
		e := f.compile(c)
		if e == nil {
			return nil
		}
		parts = append(parts, e)
	}
	return func(leaves uint64) bool {
		for _, e := range parts {
			if e(leaves) {
				return true
			}
		}
		return false
	}
}

// The places that texts and numbers without a key have in filter.
const (
	textName = iota
	textMessage
	textEventName

	numberKind   = 0
	numberStatus = 1
)

func (f *filter) value(of Field, accept func(field.Value) bool) expression {
	l := leaf{key: of.Key, accept: accept}
	switch of.Of {
	case OfSpan, OfResource, OfEvent:
		e := f.leaf(l, &f.attributes[of.Of])
		switch {
		case e == nil:
		case of.Of == OfSpan:
			f.lengths |= 1<<(len(of.Key)&63) | 1<<63
		case of.Of == OfResource:
			f.resource |= 1 << (len(f.leaves) - 1)
		}
		return e
	}
	f.plain = true
	switch of.Of {
	case OfName:
		return f.leaf(l, &f.texts[textName])
	case OfStatusMessage:
		return f.leaf(l, &f.texts[textMessage])
	case OfEventName:
		return f.leaf(l, &f.texts[textEventName])
	case OfKind:
		return f.leaf(l, &f.numbers[numberKind])
	case OfStatus:
		return f.leaf(l, &f.numbers[numberStatus])
	}
	return nil
}

func (f *filter) leaf(l leaf, list *[]int) expression {
	if len(f.leaves) == maxLeaves {
		return nil
	}
	bit := uint64(1) << len(f.leaves)
	*list = append(*list, len(f.leaves))
	f.leaves = append(f.leaves, l)
	return func(leaves uint64) bool { return leaves&bit != 0 }
}
