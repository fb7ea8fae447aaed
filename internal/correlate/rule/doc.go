// Package rule reduces spans to what correlation needs of them: observations,
// by rules. docs/rules.md describes the rules to their users.
//
//	set, err := rule.Compile(builtin, user, window)
//	engine := correlate.New(correlate.Config{Rules: set.Rules(), ...})
//	x := set.NewExtractor()                  // one a goroutine
//	batch := x.Extract(td)                   // in the order of td's spans
//
// Rules of one form, Definition, compare attributes of two kinds of spans;
// users write theirs in it, and builtin.yaml has those of the built-in ones
// that it can say. What it cannot say, order, mailboxes, supervision and
// references, is Go code, a file a topic.
//
// One pass over a span's attributes puts those that rules speak of into
// numbered slots; conditions and keys look at slots only. Conditions of a
// common subset of OTTL are tests of slots too, any other is the caller's
// function.
package rule
