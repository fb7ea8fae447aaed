package correlate

import (
	"time"

	"github.com/otelscope/otelscope/internal/causal"
)

// Config says what an Engine looks for and how much it remembers. Its values
// are the caller's to validate.
type Config struct {
	// Rules are what Op.Rule counts in.
	Rules []Rule
	// Window is how long an entry is remembered at most.
	Window time.Duration
	// MaxEntries and MaxBytes bound what is remembered, of whatever kind.
	MaxEntries int
	MaxBytes   int64
	// MinConfidence is the least confidence of an edge that is reported.
	MinConfidence float64
	// MaxLate is how many effects that waited for one cause it may carry the
	// edges of.
	MaxLate int
}

// Confidence where order decides and is not sure. The values are measured:
// docs/accuracy.md shows how often such edges are right.
const (
	// Something of this queue is lost, or was taken on a guess, and both sides
	// have not caught up since.
	confidenceUnsure = 0.5
	// One message is outstanding, and other senders of equal messages are
	// known, of which one may not have arrived yet.
	confidenceOthers = 0.8
)

// confidenceSeveral is the confidence that the oldest of equal messages from
// several senders is the one.
func confidenceSeveral(senders int) float64 {
	if senders == 2 {
		return 0.6
	}
	return 0.5
}

// Stats are an Engine's figures at one moment.
type Stats struct {
	Live    Counts `json:"live"`
	Entries int64  `json:"entries"`
	Bytes   int64  `json:"bytes"`
	// EvictedOffers and EvictedClaims were never matched. Of those that went
	// before their window was over, EvictedEarly says how many, matched or not.
	EvictedOffers int64 `json:"evicted_unmatched_causes"`
	EvictedClaims int64 `json:"evicted_unmatched_effects"`
	EvictedEarly  int64 `json:"evicted_early"`
}

// Counts are entries by kind.
type Counts struct {
	Causes  int64 `json:"causes"`
	Effects int64 `json:"effects"` // that wait for their cause
	Traces  int64 `json:"traces"`
	Edges   int64 `json:"edges"`  // found, remembered for retries
	Orders  int64 `json:"orders"` // what order within a key or process needs
}

func (c *Counts) add(k kind, n int64) {
	switch k {
	case kindOffer, kindQueued:
		c.Causes += n
	case kindClaim, kindQueueWaits:
		c.Effects += n
	case kindTrace:
		c.Traces += n
	case kindMemo:
		c.Edges += n
	default:
		c.Orders += n
	}
}

// edgeType returns the type of a rule's edges.
func (e *Engine) edgeType(rule uint16) causal.Type { return e.config.Rules[rule].Type }
