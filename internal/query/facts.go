package query

// traceFacts are what a span's trace as a whole tells. They are found out when
// they are asked for.
type traceFacts struct {
	records []*Record // nil: all else is known

	start, end            uint64          // the first start, the last end
	children              map[[8]byte]int // by parent
	rootName, rootService value
}

// know finds out the facts.
func (f *traceFacts) know() {
	if f.records == nil {
		return
	}
	f.children = map[[8]byte]int{}
	for i, r := range f.records {
		if i == 0 || r.wire.Start < f.start {
			f.start = r.wire.Start
		}
		f.end = max(f.end, r.wire.End)
		if parent := r.parent(); parent != ([8]byte{}) {
			f.children[parent]++
		}
	}
	if root := rootOf(f.records); root != nil {
		f.rootName = value{kind: textValue, text: root.wire.Name}
		f.rootService = attribute(root.origin.resource, serviceName)
	}
	f.records = nil
}

// rootOf returns the earliest span without a parent, else the earliest whose
// parent is not stored; nil if there is neither.
func rootOf(records []*Record) *Record {
	stored := make(map[[8]byte]bool, len(records))
	for _, r := range records {
		stored[r.wire.SpanID] = true
	}
	var root, orphan *Record
	for _, r := range records {
		switch parent := r.parent(); {
		case parent == [8]byte{}:
			root = earlier(root, r)
		case !stored[parent]:
			orphan = earlier(orphan, r)
		}
	}
	if root == nil {
		return orphan
	}
	return root
}

func earlier(a, b *Record) *Record {
	if a == nil || b.key().compare(a.key()) < 0 {
		return b
	}
	return a
}
