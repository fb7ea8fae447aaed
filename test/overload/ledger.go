package main

import "sync"

// outcome is what became of a request.
type outcome byte

const (
	unknown outcome = iota // no answer yet, or none that says
	acked
	refused
	never // was not sent
)

// ledger is what a lane sent and what came of it. Safe for concurrent use.
type ledger struct {
	content
	mu       sync.Mutex
	outcomes []outcome // of requests first(), first()+1, …
}

// begin returns the number of the lane's next request.
func (l *ledger) begin() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcomes = append(l.outcomes, unknown)
	return l.first() + uint64(len(l.outcomes)-1)
}

func (l *ledger) end(n uint64, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcomes[n-l.first()] = o
}

// of returns what became of request n.
func (l *ledger) of(n uint64) outcome {
	if n < l.first() || n-l.first() >= uint64(len(l.outcomes)) {
		return never
	}
	return l.outcomes[n-l.first()]
}

// carrier returns what became of the request that carried a hop of a group.
func (l *ledger) carrier(group uint64, hop int) outcome { return l.of(group + uint64(hop*l.lag)) }

// groups is how many groups there are of which any hop may have been sent.
func (l *ledger) groups() uint64 { return l.first() + uint64(len(l.outcomes)) }

// count returns how many requests ended so.
func (l *ledger) count(o outcome) (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.outcomes {
		if one == o {
			n++
		}
	}
	return n
}

// ledgers are the lanes of a run, by their numbers.
type ledgers map[int]*ledger

// spans returns the spans of all requests that ended so.
func (ls ledgers) spans(o outcome) (n int64) {
	for _, l := range ls {
		n += l.count(o) * int64(l.spans())
	}
	return n
}

// items is the same in what the receiver counts.
func (ls ledgers) items(o outcome) (n int64) {
	for _, l := range ls {
		n += l.count(o) * int64(l.items())
	}
	return n
}
