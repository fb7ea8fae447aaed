// Package pressure says how near a collector is to what it can take, and what
// is to be done about it: a Monitor collects the readings of typed sources, and
// a Policy makes one Level of them, with the reason in words.
//
// Policy is the deterministic core: readings and the time in, a State out; no
// clock, goroutine or logger. Monitor is the lock around it and the register of
// sources; somebody calls Step a few times a second (the scope_query extension
// for the monitor it shares, a processor that stands alone for its own).
//
// # Readings
//
// A reading is a number from 0, nothing to speak of, to 1, the source can take
// no more and somebody is being refused. So readings of unlike sources compare,
// and the highest one is the score. A source reads what is; it does not smooth.
//
// # Levels
//
// A level begins when the score has stood at its threshold for Confirm, and
// ends when the score has stayed below threshold - hysteresis for all of Hold,
// or gives way to a higher one.
// So a spike shorter than Confirm changes nothing, no level lasts less than
// Hold unless a higher one follows, and a score that swings around a threshold does not make the level
// swing. When a level ends, the next is the highest that would not have ended
// too: after an overload the way back is one Hold long, not one for each level.
//
// # Silence
//
// A source that panics, or has nothing to say, returns no reading. Its last one
// counts for Silence, so that a monitor does not relax because its eyes are
// shut, and then no more, so that a component that is gone cannot hold the rest
// at critical; from then on it is named in State.Silent until it is taken off.
package pressure
