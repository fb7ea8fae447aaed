// Package sample decides which causal chains are kept when not all can be.
//
// # Chains
//
// All traces of one causal chain share 56 random bits, the chain's number: the
// rv that correlation handed down from the causal root, else the low bits of
// the trace id. A chain is kept when its number is at or above its threshold;
// both are OpenTelemetry's, so the decision is the one that any consistent
// sampler would make.
//
// The threshold is that of the root's key (service and span name, say) at the
// moment when the first span of the chain was seen, and stays: ratios change
// every second, and a chain whose spans met two thresholds would be cut in two.
// Config.MaxChains of them are remembered, by last use. A chain that has been
// forgotten gets the threshold of the day: mostly the same decision, since its
// number is the same.
//
// A threshold depends on what was offered before the chain began, and never on
// its number. So 1/(1-threshold) is an unbiased count of each span that is kept
// by chance.
//
// # Ratios
//
// Sampler.Allot divides a budget of spans a second among the keys by what they
// offer: keys that offer little are kept whole, and the rest get equal parts
// (max-min fairness), never less than MinRatio. With classes, the budget goes
// to the more important class first. Controller makes the budget of the
// pressure that is felt.
//
// # What is kept for another reason
//
// A span that meets a keep condition is kept, and so is all that follows in its
// chain, with certainty: such a span counts as one, whatever the chain's
// threshold. What came before it has been decided by chance. Of that, Rescue
// holds a part for a while, so that what led to a failure can still be handed
// on. Those spans count as nothing: the chains that chance had kept stand for
// them already. (A weight for them does not exist. Chance has given 1/p to the
// early spans of the chains it kept, p of all, so their expected sum is right
// without the rescued ones, and every span that is added with a positive weight
// makes it too high.)
package sample
