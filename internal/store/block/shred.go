package block

import (
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store/block/table"
	"github.com/otelscope/otelscope/internal/store/field"
)

// shredder turns rows into the values of columns. What depends on the origin
// alone is worked out once an origin and row group.
type shredder struct {
	table *table.Writer
	ids   *idsWriter

	group    int // the row group that origins and enumerations belong to
	origins  map[string]*origin
	kinds    []int32 // dictionary index by number
	statuses []int32
	resource []otlpwire.Attr
	scope    otlpwire.Scope

	span  otlpwire.Span
	rest  []otlpwire.Attr // attributes without a column of their own
	text  []byte          // scratch
	event otlpwire.Event
	link  otlpwire.Link
	keys  rowKeys // the row's
}

// origin has an index into the dictionary of each of its columns.
type origin struct {
	id                                uint32 // see idsWriter.origin
	service, scopeName, resource, raw int32
	instance, scopeVersion            int32 // absent where there is none

	attributes       []attribute // of the resource
	zone, failedZone uint64      // see attributeIndex.origin; plus 1
}

const absent = -1

func newShredder(t *table.Writer, ids *idsWriter) *shredder {
	return &shredder{table: t, ids: ids, origins: map[string]*origin{}}
}

// reset forgets the last block.
func (s *shredder) reset() { s.group = -1 }

func (s *shredder) enterGroup(group int) {
	s.group = group
	clear(s.origins)
	s.kinds, s.statuses = s.kinds[:0], s.statuses[:0]
	for _, name := range kindNames {
		s.kinds = append(s.kinds, s.table.Column(colKind).Intern([]byte(name)))
	}
	for _, name := range statusNames {
		s.statuses = append(s.statuses, s.table.Column(colStatusCode).Intern([]byte(name)))
	}
}

// add writes one row.
func (s *shredder) add(row Row) error {
	if g := s.table.Group(); g != s.group {
		s.enterGroup(g)
	}
	if err := s.span.Parse(row.Span); err != nil {
		return err
	}
	o, err := s.originOf(row.Origin)
	if err != nil {
		return err
	}
	s.addCore(row, o)
	s.keys = rowKeys{links: s.keys.links[:0], effects: s.keys.effects[:0]}
	s.ids.attributes.begin(s.ids.next(), &s.span)
	s.ids.attributes.origin(o)
	s.addAttributes()
	if err := s.addJSON(); err != nil {
		return err
	}
	s.ids.add(&s.span, o.id, &s.keys)
	return s.table.EndRow()
}

func (s *shredder) addCore(row Row, o *origin) {
	t, span := s.table, &s.span
	t.Column(colTraceID).Hex(span.TraceID[:])
	t.Column(colSpanID).Hex(span.SpanID[:])
	if span.ParentSpanID != [8]byte{} {
		t.Column(colParentSpanID).Hex(span.ParentSpanID[:])
	}
	t.Column(colName).Value(span.Name)
	s.addEnum(t.Column(colKind), s.kinds, span.Kind)
	s.addEnum(t.Column(colStatusCode), s.statuses, span.StatusCode)
	start := clamp(span.Start)
	t.Column(colStartTime).Int(start / 1000)
	t.Column(colStartUnixNano).Int(start)
	t.Column(colDurationNS).Int(duration(span.Start, span.End))
	t.Column(colOTLPSpan).Value(row.Span)
	if len(span.StatusMessage) > 0 {
		t.Column(colStatusMessage).Value(span.StatusMessage)
	}
	if len(span.TraceState) > 0 {
		t.Column(colTraceState).Value(span.TraceState)
	}
	t.Column(colServiceName).Index(o.service)
	t.Column(colScopeName).Index(o.scopeName)
	t.Column(colResourceAttributes).Index(o.resource)
	t.Column(colOTLPOrigin).Index(o.raw)
	if o.instance != absent {
		t.Column(colServiceInstanceID).Index(o.instance)
	}
	if o.scopeVersion != absent {
		t.Column(colScopeVersion).Index(o.scopeVersion)
	}
}

// addEnum writes a number's name, or the number itself if it has none.
func (s *shredder) addEnum(c *table.Column, indexes []int32, n int32) {
	if uint32(n) < uint32(len(indexes)) {
		c.Index(indexes[n])
		return
	}
	s.text = strconv.AppendInt(s.text[:0], int64(n), 10)
	c.Index(c.Intern(s.text))
}

// addAttributes gives promoted attributes to their columns and leaves the
// others in s.rest. It notes all where rows are found by them.
func (s *shredder) addAttributes() {
	s.rest = s.rest[:0]
	var seen uint64 // of a key that is there twice the first counts
	for i := range s.span.Attributes {
		a := &s.span.Attributes[i]
		c := promoted(a.Key)
		again := c >= 0 && seen&(1<<c) != 0
		if again || !s.addKey(c, a) {
			s.ids.attributes.attribute(field.Span, a)
		}
		if again {
			continue
		}
		if c >= 0 {
			seen |= 1 << c
			if s.promote(c, a.Value) {
				continue
			}
		}
		s.rest = append(s.rest, *a)
	}
}

// promote writes an attribute into its column, unless its value is of another
// type than that has.
func (s *shredder) promote(c int, value otlpwire.Value) bool {
	if c == colHTTPResponseStatusCode {
		v, ok := value.Int()
		if ok {
			s.table.Column(c).Int(v)
		}
		return ok
	}
	v, ok := textOf(value)
	if ok {
		s.table.Column(c).Value(v)
	}
	return ok
}

// addKey notes an attribute that has a run of its own, and reports whether it
// is in that.
func (s *shredder) addKey(c int, a *otlpwire.Attr) bool {
	var key *[]byte
	switch c {
	case colScopeEventID:
		key = &s.keys.events[0]
	case colScopeReturnEventID:
		key = &s.keys.events[1]
	case colScopeCorrelationID:
		key = &s.keys.correlation
	default:
		return false
	}
	v, ok := textOf(a.Value)
	if !ok || len(v) == 0 {
		return false
	}
	*key = v
	s.ids.attributes.list(a.Key, v)
	return true
}

func (s *shredder) addJSON() error {
	c := s.table.Column(colSpanAttributes)
	b, err := otlpwire.AppendAttrsJSON(c.Begin(), s.rest)
	if err != nil {
		return err
	}
	c.End(b)
	if len(s.span.Events) > 0 {
		c := s.table.Column(colEvents)
		if b, err = s.appendEvents(c.Begin()); err != nil {
			return err
		}
		c.End(b)
	}
	if len(s.span.Links) > 0 {
		c := s.table.Column(colLinks)
		if b, err = s.appendLinks(c.Begin()); err != nil {
			return err
		}
		c.End(b)
	}
	return nil
}

// originOf returns what is known of the encoded origin.
func (s *shredder) originOf(b []byte) (*origin, error) {
	if o, ok := s.origins[string(b)]; ok {
		return o, nil
	}
	o, err := s.newOrigin(b)
	if err != nil {
		return nil, err
	}
	s.origins[string(b)] = o
	return o, nil
}

func (s *shredder) newOrigin(b []byte) (o *origin, err error) {
	o = &origin{}
	parsed, err := otlpwire.ParseOrigin(b)
	if err != nil {
		return o, err
	}
	if s.resource, err = otlpwire.AppendResourceAttributes(s.resource[:0], parsed.Resource); err != nil {
		return o, err
	}
	if err = s.scope.Parse(parsed.Scope); err != nil {
		return o, err
	}
	if s.text, err = otlpwire.AppendAttrsJSON(s.text[:0], s.resource); err != nil {
		return o, err
	}
	if o.id, err = s.ids.origin(b); err != nil {
		return o, err
	}
	o.attributes = s.ids.attributes.resource(s.resource)
	t := s.table
	o.resource = t.Column(colResourceAttributes).Intern(s.text)
	o.service = t.Column(colServiceName).Intern(s.resourceText("service.name"))
	o.raw = t.Column(colOTLPOrigin).Intern(b)
	o.scopeName = t.Column(colScopeName).Intern(s.scope.Name)
	o.instance, o.scopeVersion = absent, absent
	if v := s.resourceText("service.instance.id"); len(v) > 0 {
		o.instance = t.Column(colServiceInstanceID).Intern(v)
	}
	if v := s.scope.Version; len(v) > 0 {
		o.scopeVersion = t.Column(colScopeVersion).Intern(v)
	}
	return o, nil
}

// textOf is v.Str, quick for short texts.
func textOf(v otlpwire.Value) ([]byte, bool) {
	const tag = byte(otlpwire.KindString)<<3 | byte(protowire.BytesType)
	if len(v) >= 2 && v[0] == tag && v[1] < 0x80 && int(v[1]) == len(v)-2 {
		return v[2:], true
	}
	return v.Str()
}

func isText(v otlpwire.Value, text string) bool {
	got, ok := textOf(v)
	return ok && string(got) == text
}

// resourceText returns a resource attribute, nothing if it is not text.
func (s *shredder) resourceText(key string) []byte {
	v, _ := otlpwire.Find(s.resource, key)
	text, _ := v.Str()
	return text
}

// clamp makes an OTLP time one that readers' signed integers can hold.
func clamp(t uint64) int64 { return int64(min(t, math.MaxInt64)) }

// duration is negative when the clocks were; a span without an end has none.
func duration(start, end uint64) int64 {
	switch {
	case end == 0:
		return 0
	case end >= start:
		return clamp(end - start)
	default:
		return -clamp(start - end)
	}
}
