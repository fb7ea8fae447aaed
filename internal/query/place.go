package query

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/otelscope/otelscope/internal/store"
)

// Place is where a process or an entity lives: the service.name and the
// service.instance.id of the resource, "" where there is none.
type Place struct{ Service, Node string }

func (p Place) compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Service, q.Service), cmp.Compare(p.Node, q.Node))
}

// Attributes of the resource that make a Place.
const (
	attrService = "service.name"
	attrNode    = "service.instance.id"
)

// AmbiguousError says that what was asked for lives in several places.
type AmbiguousError struct {
	Places []Place // in order; the first ones where there are many
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("there are several: %+v", e.Places)
}

// maxPlaces is how many an AmbiguousError lists.
const maxPlaces = 100

// placer finds the one place that is meant: what is asked for exactly, else
// the only one that there is.
type placer struct {
	asked  Place // a "" stands for any
	reader Reader
	seen   map[Place]bool
	meant  Place
}

func newPlacer(asked Place) *placer {
	return &placer{asked: asked, seen: map[Place]bool{}}
}

// of returns the place of a span.
func (p *placer) of(span store.Span) (Place, error) {
	o, err := p.reader.originOf(span.Origin)
	if err != nil {
		return Place{}, err
	}
	return Place{Service: string(str(o.resource, attrService)), Node: string(str(o.resource, attrNode))}, nil
}

// selection is what is true of all spans at the places that are asked for, as far as a store can tell.
func (p *placer) selection() store.All {
	var where store.All
	for key, value := range map[string]string{attrService: p.asked.Service, attrNode: p.asked.Node} {
		if value != "" {
			where = append(where, store.Has{Field: store.Field{Of: store.OfResource, Key: key}, Value: value})
		}
	}
	return where
}

// note notes that something of what is asked for is at a place, and reports
// whether it is the place that is meant, as far as was seen. Once a place that
// is asked for exactly turns up, no other is meant any more.
func (p *placer) note(at Place) bool {
	if p.asked.Service != "" && at.Service != p.asked.Service || p.asked.Node != "" && at.Node != p.asked.Node {
		return false
	}
	if len(p.seen) <= maxPlaces || at == p.asked {
		p.seen[at] = true
	}
	if len(p.seen) == 1 || at == p.asked {
		p.meant = at
	}
	return at == p.meant
}

// check says whether it is clear what is meant, if there was anything.
func (p *placer) check() error {
	if len(p.seen) < 2 || p.meant == p.asked {
		return nil
	}
	var all []Place
	for at := range p.seen {
		all = append(all, at)
	}
	slices.SortFunc(all, Place.compare)
	return &AmbiguousError{Places: all[:min(len(all), maxPlaces)]}
}
