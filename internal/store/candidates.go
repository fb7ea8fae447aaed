package store

import (
	"github.com/otelscope/otelscope/internal/store/block"
	"github.com/otelscope/otelscope/internal/store/field"
)

// zoneSet is a set of a block's zones; nil is all of them.
type zoneSet []uint64

func newZoneSet(zones int) zoneSet { return make(zoneSet, (zones+63)/64) }

func (s zoneSet) add(zone uint32) { s[zone/64] |= 1 << (zone % 64) }

func (s zoneSet) has(zone int) bool { return s == nil || s[zone/64]>>(zone%64)&1 != 0 }

func (s zoneSet) empty() bool {
	for _, w := range s {
		if w != 0 {
			return false
		}
	}
	return s != nil
}

// and keeps of s what is in t too, and returns it.
func (s zoneSet) and(t zoneSet) zoneSet {
	if s == nil || t == nil {
		return append(s, t...)
	}
	for i := range s {
		s[i] &= t[i]
	}
	return s
}

// or adds to s what is in t, and returns it.
func (s zoneSet) or(t zoneSet) zoneSet {
	if s == nil || t == nil {
		return nil
	}
	for i := range s {
		s[i] |= t[i]
	}
	return s
}

// maxAmong is how many texts of a list that are accepted are looked up; with
// more of them it may as well be all zones.
const maxAmong = 128

// candidates finds the zones of a block that may have spans which fulfil a
// condition.
type candidates struct {
	block *block.Block
	zones []block.Zone
	found []uint32
}

// of returns the zones for a condition. If failed is set the spans have the
// status error too.
func (x *candidates) of(c Condition, failed bool) (zoneSet, error) {
	switch c := c.(type) {
	case All:
		return x.ofAll(c, failed || c.failed())
	case Any:
		return x.ofAny(c, failed)
	case Has:
		v, ok := field.ValueOf(c.Value)
		if !ok {
			return nil, nil
		}
		return x.with(c.Field, []field.Value{v}, failed)
	case Among:
		return x.among(c, failed)
	case Lasted:
		set := newZoneSet(len(x.zones))
		for i := range x.zones {
			if z := &x.zones[i]; z.MaxDuration >= c.Min && z.MinDuration <= c.Max {
				set.add(uint32(i))
			}
		}
		return set, nil
	}
	return nil, nil
}

// statusError is OTLP's number.
const statusError = 2

// failed reports whether one of the conditions asks for the status error.
func (a All) failed() bool {
	for _, c := range a {
		if c == (Has{Field{Of: OfStatus}, int64(statusError)}) {
			return true
		}
	}
	return false
}

func (x *candidates) ofAll(all All, failed bool) (set zoneSet, err error) {
	for _, c := range all {
		part, err := x.of(c, failed)
		if err != nil {
			return nil, err
		}
		if set = set.and(part); set.empty() {
			return set, nil
		}
	}
	return set, nil
}

func (x *candidates) ofAny(any Any, failed bool) (zoneSet, error) {
	set := newZoneSet(len(x.zones))
	for _, c := range any {
		part, err := x.of(c, failed)
		if err != nil {
			return nil, err
		}
		if set = set.or(part); set == nil {
			return nil, nil
		}
	}
	return set, nil
}

// with returns the zones of a field's values.
func (x *candidates) with(f Field, values []field.Value, failed bool) (zoneSet, error) {
	set := newZoneSet(len(x.zones))
	for _, v := range values {
		zones, any, err := x.block.ZonesWith(x.found[:0], f, v, failed)
		if err != nil || any {
			return nil, err
		}
		for _, z := range zones {
			if int(z) < len(x.zones) {
				set.add(z)
			}
		}
		x.found = zones
	}
	return set, nil
}

func (x *candidates) among(c Among, failed bool) (zoneSet, error) {
	values, known, err := x.block.ListedValues(c.Field)
	if err != nil || !known {
		return nil, err
	}
	accepted := values[:0]
	for _, v := range values {
		if text, ok := v.Text(); ok && c.Accept(string(text)) {
			accepted = append(accepted, v)
		}
	}
	if len(accepted) > maxAmong {
		return nil, nil
	}
	return x.with(c.Field, accepted, failed)
}
