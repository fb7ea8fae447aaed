package rule

import (
	_ "embed"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/correlate"
)

//go:embed builtin.yaml
var builtinYAML []byte

// builtinForms returns the built-in rules of builtin.yaml. That it can be read
// is tested, and does not depend on anything.
func builtinForms() []Definition {
	var all []Definition
	if err := yaml.Unmarshal(builtinYAML, &all); err != nil {
		panic(fmt.Sprintf("builtin.yaml: %v", err))
	}
	return all
}

// off stands in the place of a rule whose type is not wanted.
const off = ^uint16(0)

// natives are the numbers of the built-in rules that are Go code.
type natives struct {
	messageID, equalMessages, singleMessage uint16
	// arrival is what an arrival is offered for: it is handled once.
	arrival                            uint16
	spawn                              uint16
	stateVersion, stateOrder, trigger  uint16
	recovers, exitSignal               uint16
	respawn, failedReturn, lastFailure uint16
	// cause has the rule of each type that a reference to a cause may have.
	cause map[causal.Type]uint16
	// reference is one of the rules that claim references, off without any.
	reference uint16
}

// addNatives adds the rules that are Go code, of the types in wanted.
func (s *Set) addNatives(wanted []causal.Type, taken map[string]string) natives {
	add := func(name string, t causal.Type, confidence float64, effects correlate.Effects) uint16 {
		taken[name] = builtinRule
		if !slices.Contains(wanted, t) {
			return off
		}
		return s.addRule(correlate.Rule{Name: name, Type: t, Confidence: confidence, Effects: effects})
	}
	n := natives{
		messageID:     add("message_id", causal.MessageFlow, 1, correlate.ManyEffects),
		arrival:       add("arrival", causal.MessageFlow, 1, correlate.OneEffect),
		equalMessages: add("equal_messages", causal.MessageFlow, 1, correlate.ManyEffects),
		singleMessage: add("single_message", causal.MessageFlow, 0.9, correlate.ManyEffects),
		spawn:         add("spawn", causal.ProcessSpawn, 1, correlate.OneEffect),
		stateVersion:  add("state_version", causal.StateTransition, 1, correlate.OneEffect),
		stateOrder:    add("state_order", causal.StateTransition, 0.9, correlate.ManyEffects),
		trigger:       add("trigger", causal.StateTransition, 1, correlate.ManyEffects),
		recovers:      add("recovers", causal.ErrorPropagation, 1, correlate.ManyEffects),
		exitSignal:    add("exit_signal", causal.ErrorPropagation, 1, correlate.OnePerProcess),
		respawn:       add("respawn", causal.ErrorPropagation, 0.9, correlate.ManyEffects),
		failedReturn:  add("failed_return", causal.ErrorPropagation, 0.9, correlate.ManyEffects),
		lastFailure:   add("last_failure", causal.ErrorPropagation, 0.9, correlate.ManyEffects),
		cause:         map[causal.Type]uint16{},
		reference:     off,
	}
	if n.arrival != off {
		s.rules[n.arrival].InOrder = true
	}
	for _, t := range linked {
		n.cause[t] = add("cause_"+string(t), t, 1, correlate.ManyEffects)
		n.reference = min(n.reference, n.cause[t])
	}
	// A parent is said by the span itself; who names one as a cause says no
	// more than that it led to this.
	n.cause[causal.ParentChild] = n.cause[causal.MessageFlow]
	n.cause[""] = n.cause[causal.MessageFlow]
	return n
}
