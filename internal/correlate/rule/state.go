package rule

import "github.com/otelscope/otelscope/internal/correlate"

// changed links the states of one entity: by consecutive versions or, in one
// process, by what it was before.
func (x *Extractor) changed() {
	n := &x.set.native
	entity := x.entity()
	if entity == 0 {
		return
	}
	if version, ok := x.span.integer(slotVersion); ok {
		x.add(correlate.Offer, n.stateVersion, entity, false, combine(tagVersion, entity, uint64(version)))
		x.add(correlate.Claim, n.stateVersion, entity, false, combine(tagVersion, entity, uint64(version-1)))
		return
	}
	key := combine(tagLatestState, x.own, entity)
	if from := x.span.str(slotFrom); from != "" {
		x.add(correlate.Previous, n.stateOrder, key, false, key).Aux = text(from)
	}
	x.add(correlate.Set, n.stateOrder, key, false, key).Aux = text(x.span.str(slotTo))
}

// noteFailure makes the span the last failure of its entity.
func (x *Extractor) noteFailure(end bool) {
	if entity := x.entity(); entity != 0 {
		key := combine(tagLatestFailure, entity, 0)
		x.add(correlate.Set, x.set.native.lastFailure, key, end, key)
	}
}

// recovered claims the last failure of its entity, where the span does not say
// which it answers.
func (x *Extractor) recovered() {
	if entity := x.entity(); entity != 0 && x.span.str(slotRecovers) == "" {
		key := combine(tagLatestFailure, entity, 0)
		x.add(correlate.Previous, x.set.native.lastFailure, key, false, key)
	}
}

// entity hashes whose state or failure it is: the entity that is named, within
// the service, else the process; 0 where there is neither.
func (x *Extractor) entity() uint64 {
	if name := x.span.str(slotEntity); name != "" {
		return combine(tagEntity, x.service, text(name))
	}
	if x.own != 0 {
		return combine(tagOwnEntity, x.own, 0)
	}
	return 0
}
