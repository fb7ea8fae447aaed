package workload

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
)

// Cutting says how steps become requests.
type Cutting struct {
	Seed uint64
	// Lanes is how many senders there are; all of a process goes through one.
	Lanes int
	// Most is how many steps a request holds at most.
	Most int
	// Duplicate is the share of requests that are sent again, at once or up to
	// Later requests afterwards.
	Duplicate float64
	Later     int
}

// Validate says which field holds what it may not.
func (c Cutting) Validate() error {
	switch {
	case c.Lanes < 1:
		return fmt.Errorf("%s: %d must be at least 1", "Lanes", c.Lanes)
	case c.Most < 1:
		return fmt.Errorf("%s: %d must be at least 1", "Most", c.Most)
	case !(c.Duplicate >= 0 && c.Duplicate <= 1):
		return fmt.Errorf("%s: %v is no share (0 to 1)", "Duplicate", c.Duplicate)
	case c.Later < 0:
		return fmt.Errorf("%s: %d is negative", "Later", c.Later)
	}
	return nil
}

// Request is what is sent at once.
type Request struct {
	Lane  int
	Steps []Step
	Again bool // it was sent before
}

// Requests cuts steps into requests of random sizes. Not safe for concurrent
// use.
type Requests struct {
	config Cutting
	source func() (Step, bool)
	rand   *rand.Rand
	lanes  []lane
	next   int // the lane to empty, at the end
	cut    int64
	again  queue[Request]
	ended  bool
}

type lane struct {
	steps []Step
	size  int
}

// NewRequests returns a stage that draws from source.
func NewRequests(source func() (Step, bool), c Cutting) (*Requests, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Requests{config: c, source: source, rand: rand.New(rand.NewPCG(c.Seed, 0xc07)), lanes: make([]lane, c.Lanes)}, nil
}

// Next returns the next request. ok is false at the end.
func (r *Requests) Next() (Request, bool) {
	if r.again.Len() > 0 && (r.again.first() <= r.cut || r.ended && r.next == len(r.lanes)) {
		_, request := r.again.pop()
		return request, true
	}
	for !r.ended {
		step, ok := r.source()
		if !ok {
			r.ended = true
			break
		}
		n := r.lane(&step)
		l := &r.lanes[n]
		if len(l.steps) == 0 {
			l.size = 1 + r.rand.IntN(r.config.Most)
		}
		if l.steps = append(l.steps, step); len(l.steps) >= l.size {
			return r.take(n), true
		}
	}
	for ; r.next < len(r.lanes); r.next++ {
		if len(r.lanes[r.next].steps) > 0 {
			return r.take(r.next), true
		}
	}
	if r.again.Len() > 0 {
		_, request := r.again.pop()
		return request, true
	}
	return Request{}, false
}

func (r *Requests) lane(step *Step) int {
	h := fnv.New32a()
	h.Write([]byte(ProcessOf(&step.Event)))
	return int(h.Sum32() % uint32(len(r.lanes)))
}

func (r *Requests) take(n int) Request {
	request := Request{Lane: n, Steps: r.lanes[n].steps}
	r.lanes[n].steps = nil
	r.cut++
	if r.config.Duplicate > 0 && r.rand.Float64() < r.config.Duplicate {
		later := int64(0)
		if r.config.Later > 0 && r.rand.IntN(2) == 0 {
			later = r.rand.Int64N(int64(r.config.Later) + 1)
		}
		r.again.push(r.cut+later, Request{Lane: n, Steps: request.Steps, Again: true})
	}
	return request
}
