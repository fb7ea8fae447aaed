package query


// traceFacts are what a span's trace as a whole tells.
type traceFacts struct {
	start, end            uint64         // the first start, the last end
	children              map[[8]byte]int // by parent
	rootName, rootService value
}

func factsOf(records []*Record) *traceFacts {
	f := &traceFacts{children: map[[8]byte]int{}}
	for i, r := range records {
		if i == 0 || r.wire.Start < f.start {
			f.start = r.wire.Start
		}
		f.end = max(f.end, r.wire.End)
		if parent := r.parent(); parent != ([8]byte{}) {
			f.children[parent]++
		}
	}
	if root := rootOf(records); root != nil {
		f.rootName = value{kind: textValue, text: root.wire.Name}
		f.rootService = attribute(root.origin.resource, serviceName)
	}
	return f
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
	if a == nil || compareRecords(b, a) < 0 {
		return b
	}
	return a
}

// compareRecords orders by start, then by ids.
func compareRecords(a, b *Record) int {
	return a.key().compare(b.key())
}

