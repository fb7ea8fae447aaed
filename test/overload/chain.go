package main

import (
	"encoding/binary"
	"math/bits"
)

// A chain has so many hops, each a trace of its own, and each hop up to so
// many spans.
const (
	hops  = 5
	roles = 4
)

// The spans of a hop. backRole is an event, not a span: a call's return.
const (
	enterRole = iota // takes the message that the hop before sent; begins an OTLP chain
	workRole         // does something; at the end of one chain in errorEvery it fails
	noteRole         // says something; native only
	nextRole         // sends the message that the next hop takes
	backRole
)

// errorEvery chains there is one that ends in an error.
const errorEvery = 100

// place says which span of which chain something is. Its number is an OTLP
// span's id and a native event's id, so that what is stored says what it is.
type place struct {
	lane  int    // below 255
	group uint64 // of the lane's chains, those that began in one request; below 2^28
	chain int    // within the group; below 2^16
	hop   int
	role  int
}

const (
	laneShift  = 56
	groupShift = 28
	chainShift = 12
	hopShift   = 6
	groupMask  = 1<<(laneShift-groupShift) - 1
	chainMask  = 1<<(groupShift-chainShift) - 1
	smallMask  = 1<<hopShift - 1
)

// number is never 0, which no span id may be.
func (p place) number() uint64 {
	return uint64(p.lane+1)<<laneShift | p.group<<groupShift | uint64(p.chain)<<chainShift | uint64(p.hop)<<hopShift | uint64(p.role)
}

func placeOf(n uint64) place {
	return place{
		lane:  int(n>>laneShift) - 1,
		group: n >> groupShift & groupMask,
		chain: int(n >> chainShift & chainMask),
		hop:   int(n >> hopShift & smallMask),
		role:  int(n & smallMask),
	}
}

// fails reports whether a chain ends in an error. The number may be that of
// any of its spans.
func fails(number uint64) bool { return mix(number>>chainShift)%errorEvery == 0 }

// traceID is the id of the trace that an OTLP hop is. Its low 56 bits are as
// good as random, which is what sampling decides by.
func traceID(seed, number uint64) (id [16]byte) {
	n := number >> hopShift
	binary.BigEndian.PutUint64(id[:8], mix(seed^n))
	binary.BigEndian.PutUint64(id[8:], mix(seed^mix(n)))
	return id
}

// mix is the finalizer of splitmix64: every bit of x moves every bit of it.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hopRoles are the roles of a hop's spans, as bits.
func hopRoles(native bool, hop int) uint32 {
	all := uint32(1<<enterRole | 1<<workRole | 1<<nextRole)
	if native {
		all |= 1 << noteRole
		if hop == 0 {
			all &^= 1 << enterRole
		}
	}
	if hop == hops-1 {
		all &^= 1 << nextRole
	}
	return all
}

// chainSpans is how many spans a whole chain has, and so how many spans a
// request has for each chain of a group: it carries one hop of each of five
// groups.
func chainSpans(native bool) (n int) {
	for h := range hops {
		n += bits.OnesCount32(hopRoles(native, h))
	}
	return n
}

// chainItems is the same in what the receiver counts: spans, or events, of
// which a call has two.
func chainItems(native bool) int {
	if native {
		return chainSpans(native) + hops
	}
	return chainSpans(native)
}
