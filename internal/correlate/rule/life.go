package rule

import "github.com/otelscope/otelscope/internal/correlate"

// spawned offers the child its beginning, and tells who supervises it: the
// spawner that starts another under the same name answers the death of this.
func (x *Extractor) spawned(name string) {
	n := &x.set.native
	id := x.span.str(slotChild)
	if id == "" {
		return
	}
	node := x.originOf("", x.span.str(slotChildNode))
	child := process(node, id)
	key := combine(tagSpawn, child, 0)
	x.add(correlate.Offer, n.spawn, key, false, key)
	if x.own != 0 {
		x.add(correlate.Spawned, n.respawn, node, false, child).Aux = combine(tagName, x.own, text(name))
	}
}

// born claims the spawn of the process whose first event the span is.
func (x *Extractor) born() {
	key := combine(tagSpawn, x.own, 0)
	x.add(correlate.Claim, x.set.native.spawn, key, false, key)
}

// exited is the end of the process. An abnormal one may be because of the
// return that failed just before; signals tell of it, and a supervisor answers.
func (x *Extractor) exited() {
	if x.own == 0 {
		return
	}
	n := &x.set.native
	x.inProcess(correlate.Exited, n.equalMessages, false, 0)
	if !x.failed() {
		x.add(correlate.Died, n.respawn, x.origin, false, x.own)
		return
	}
	x.inProcess(correlate.AtOnce, n.failedReturn, false, 0)
	key := combine(tagExit, x.own, 0)
	x.add(correlate.Offer, n.exitSignal, key, false, key)
	x.add(correlate.Died, n.respawn, x.origin, false, x.own).Aux = 1
	x.noteFailure(false)
}

// signalled claims the abnormal exit that a signal tells of.
func (x *Extractor) signalled() {
	if peer := x.peer(); peer != 0 {
		key := combine(tagExit, peer, 0)
		x.add(correlate.Claim, x.set.native.exitSignal, key, false, key)
	}
}

// returned notes a return that failed.
func (x *Extractor) returned() {
	if !x.failed() {
		return
	}
	x.inProcess(correlate.Fail, x.set.native.failedReturn, true, 0)
	x.noteFailure(true)
}
