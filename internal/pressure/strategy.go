package pressure

import (
	"fmt"
	"slices"
	"strings"
)

// Strategy is what is done under pressure. What each does at which level is
// the table in docs/pressure.md.
type Strategy string

// The strategies.
const (
	AdaptiveSampling Strategy = "adaptive_sampling"
	PriorityBased    Strategy = "priority_based"
	DropOldest       Strategy = "drop_oldest"
	Refuse           Strategy = "refuse"
	Off              Strategy = "off"
)

// Strategies are all of them.
var Strategies = []Strategy{AdaptiveSampling, PriorityBased, DropOldest, Refuse, Off}

// ParseStrategy returns the strategy with this name.
func ParseStrategy(name string) (Strategy, error) {
	if s := Strategy(name); slices.Contains(Strategies, s) {
		return s, nil
	}
	return "", fmt.Errorf("%q is not one of %s", name, StrategyNames())
}

// StrategyNames lists them for messages.
func StrategyNames() string {
	names := make([]string, len(Strategies))
	for i, s := range Strategies {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

// Samples reports whether the strategy sheds by sampling.
func (s Strategy) Samples() bool { return s == AdaptiveSampling || s == PriorityBased }

// Overflow is what the receiver's ring does with what it has no room for, in
// the ring's own terms; "" means as it is configured.
func (s Strategy) Overflow(l Level) string {
	switch {
	case l < High:
		return ""
	case s == DropOldest:
		return "drop_oldest"
	case s == PriorityBased:
		return "by_priority"
	}
	return ""
}
