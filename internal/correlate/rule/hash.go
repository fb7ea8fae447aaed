package rule

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"
)

// tag tells apart what is hashed. The journal of the processor keeps hashes,
// so a tag's value never gets another meaning.
type tag uint64

const (
	tagOrigin           tag = iota + 1 // service, node
	tagProcess                         // origin, process
	tagEvent                           // origin, event id
	tagMessageReference                // message id
	tagMessage                         // receiving process or 0, message id
	tagArrived                         // process, message id
	tagQueue                           // receiving process, message hash
	tagQueueArrived                    // process, message hash
	tagSpan                            // trace id, span id
	tagSpawn                           // child
	tagExit                            // process
	tagName                            // spawner, name
	tagEntity                          // service, entity
	tagOwnEntity                       // process that is its own entity
	tagVersion                         // entity, version
	tagLatestState                     // process, entity
	tagLatestFailure                   // entity
	tagRule                            // rule's name, number of elements
	tagElement                         // elements before, element
)

// combine hashes two hashes or numbers, each of which stands for one string:
// that gives every part its own length. It is never 0, which means none.
func combine(t tag, a, b uint64) uint64 {
	var buf [24]byte
	binary.LittleEndian.PutUint64(buf[:], uint64(t))
	binary.LittleEndian.PutUint64(buf[8:], a)
	binary.LittleEndian.PutUint64(buf[16:], b)
	return max(1, xxh3.Hash(buf[:]))
}

// text hashes one string; it is never 0.
func text(s string) uint64 { return max(1, xxh3.HashString(s)) }

// origin hashes where something lives.
func origin(service, node string) uint64 { return combine(tagOrigin, text(service), text(node)) }

// process hashes a process of an origin.
func process(origin uint64, id string) uint64 { return combine(tagProcess, origin, text(id)) }
