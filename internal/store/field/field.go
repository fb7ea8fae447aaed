// Package field says what spans have values of, and how indexes know fields and
// values: by hashes that stand in files, and as short lists.
package field

import (
	"cmp"

	"github.com/zeebo/xxh3"
)

// Field is something that spans have values of. Of an attribute that is there
// twice both values count.
type Field struct {
	Of  Of
	Key string // of attributes; "" for the rest
}

// Of says where a field stands. The numbers stand in blocks.
type Of uint8

// The places. Names and messages have texts, kinds and statuses OTLP's number.
const (
	Span          Of = iota // an attribute of the span
	Resource                // an attribute of the resource
	Event                   // an attribute of one of the span's events
	Name                    // the span's name
	Kind                    // the span's kind
	Status                  // the status code
	StatusMessage           // the status message
	EventName               // the name of one of the span's events
	places
)

// Keyed reports whether fields of a place have a key: whether they are
// attributes.
func (o Of) Keyed() bool { return o <= Event }

// Compare orders fields by place and key.
func Compare(a, b Field) int { return cmp.Or(cmp.Compare(a.Of, b.Of), cmp.Compare(a.Key, b.Key)) }

// seed keeps the hashes of fields apart from those of ids.
const seed = 0x66696c64

// Hash is what indexes know the field by.
func (f Field) Hash() uint64 { return xxh3.HashStringSeed(f.Key, seed+uint64(f.Of)) }

// HashOf is Field.Hash.
func HashOf(of Of, key []byte) uint64 { return xxh3.HashSeed(key, seed+uint64(of)) }
