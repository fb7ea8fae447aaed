package rule

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/correlate"
)

// Set is compiled rules. It never changes.
type Set struct {
	rules      []correlate.Rule
	native     natives
	forms      []form
	conditions []condition
	elements   []keyElement
	names      names
	slots      int
}

// form is a compiled Definition.
type form struct {
	rule          uint16
	relation      uint64
	cause, effect side
}

// side is one end of a form.
type side struct {
	condition int   // in Set.conditions
	key       []int // in Set.elements
}

// condition is what any number of rules say by the same text.
type condition struct {
	text string
	of   node
	met  Condition // where it is outside of the subset
}

// keyElement is an element that any number of keys have by the same text.
type keyElement struct {
	text string
	of   element
}

// Compile makes one set of the built-in rules of some types and of a user's
// rules. window is the longest that a rule's window may be. Its errors name
// each rule, key and value that is wrong.
func Compile(builtin []causal.Type, user []Definition, window time.Duration) (*Set, error) {
	s := &Set{names: names{slots: map[string]int{}}, slots: fixedSlots}
	taken := map[string]string{linkRule: "links that came with spans", parentRule: "parents"}
	var p problems
	s.native = s.addNatives(builtin, taken)
	for _, d := range builtinForms() {
		taken[d.Name] = builtinRule
		if slices.Contains(builtin, d.Type) {
			p = append(p, s.add(&d))
		}
	}
	for i := range user {
		d := &user[i]
		err := d.check(taken, window)
		if err == nil {
			err = s.add(d)
		}
		if err != nil {
			p = append(p, fmt.Errorf("rule %q: %w", d.Name, err))
		}
		taken[d.Name] = "a rule before it"
	}
	if err := errors.Join(p...); err != nil {
		return nil, err
	}
	return s, nil
}

const builtinRule = "a built-in rule"

// Rules returns the rules that observations' ops count in. The caller must not
// change them.
func (s *Set) Rules() []correlate.Rule { return s.rules }

// add compiles a rule that was checked.
func (s *Set) add(d *Definition) error {
	var p problems
	f := form{
		relation: text(d.Name),
		cause:    s.side(&d.Cause, "cause", &p),
		effect:   s.side(&d.Effect, "effect", &p),
	}
	f.rule = s.addRule(correlate.Rule{
		Name: d.Name, Type: d.Type, Confidence: d.Confidence, Window: int64(d.Window), Later: d.Later,
	})
	s.forms = append(s.forms, f)
	return errors.Join(p...)
}

func (s *Set) addRule(r correlate.Rule) uint16 {
	s.rules = append(s.rules, r)
	return uint16(len(s.rules) - 1)
}

func (s *Set) side(e *End, at string, p *problems) (out side) {
	for i, text := range e.Key {
		element, err := s.element(text)
		if err != nil {
			*p = append(*p, fmt.Errorf("%s::key[%d]: %w", at, i, err))
		}
		out.key = append(out.key, element)
	}
	if out.condition = s.condition(e); out.condition < 0 {
		p.add(at+"::when", e.When, "a condition that is compiled, or one of the subset that needs no compiling")
	}
	return out
}

// element returns the number of a key's element.
func (s *Set) element(text string) (int, error) {
	if i := slices.IndexFunc(s.elements, func(e keyElement) bool { return e.text == text }); i >= 0 {
		return i, nil
	}
	of, err := parseElement(text, s.slot)
	s.elements = append(s.elements, keyElement{text, of})
	return len(s.elements) - 1, err
}

// condition returns the number of a condition, -1 for one that nobody can
// evaluate.
func (s *Set) condition(e *End) int {
	if i := slices.IndexFunc(s.conditions, func(c condition) bool { return c.text == e.When }); i >= 0 {
		return i
	}
	c := condition{text: e.When}
	of, ok := parseCondition(e.When, s.slot)
	switch {
	case ok:
		c.of = of
	case e.Met == nil:
		return -1
	default:
		c.met = e.Met
	}
	s.conditions = append(s.conditions, c)
	return len(s.conditions) - 1
}

// slot returns the slot of an attribute, which it gets if it has none.
func (s *Set) slot(attribute string) int {
	i := s.names.find(attribute)
	if i < 0 {
		i = s.slots
		s.slots++
		s.names.add(attribute, i)
	}
	return i
}
