package traceql

// String of a tree is its canonical text, which parses to an equal tree.

func (q *Query) String() string            { return "" }
func (f *Filter) String() string           { return "" }
func (o *SpansetOperation) String() string { return "" }
func (n *Nested) String() string           { return "" }
func (l *Logic) String() string            { return "" }
func (n *Not) String() string              { return "" }
func (c *Comparison) String() string       { return "" }
func (a *Attribute) String() string        { return "" }
func (i Intrinsic) String() string         { return "" }
func (l Literal) String() string           { return "" }
func (a *AggregateFilter) String() string  { return "" }
func (b *By) String() string               { return "" }
func (s *Select) String() string           { return "" }
