package sample

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// plant is a collector that takes capacity units of work a second: before
// units for a span that comes, after for one that is kept. What does not fit
// waits, up to room, and is refused beyond.
type plant struct {
	capacity, before, after, room float64
	queue                         float64 // spans that wait
}

// step lets seconds pass in which offered spans a second come and the ratio is
// kept. It returns how full the queue is, and how many a second got through.
func (p *plant) step(seconds, offered, ratio float64) (fill, through float64) {
	rate := p.capacity / (p.before + ratio*p.after)
	p.queue += offered * seconds
	taken := min(p.queue, rate*seconds)
	p.queue = min(p.queue-taken, p.room)
	return p.queue / p.room, taken / seconds
}

// run drives a controller and a plant for some seconds.
func run(c *Controller, p *plant, seconds float64, offered float64, each func(fill, ratio float64)) {
	const dt = 0.5
	ratio := 1.0
	for t := 0.0; t < seconds; t += dt {
		fill, through := p.step(dt, offered, ratio)
		budget, limited := c.Step(dt, fill >= 0.6, fill, through, 0.01*through)
		ratio = 1
		if limited {
			ratio = min(1, budget/through)
		}
		each(fill, ratio)
	}
}

func TestNothingIsLimitedWithoutPressure(t *testing.T) {
	c := &Controller{SetPoint: 0.7}
	run(c, &plant{capacity: 10, before: 1e-5, after: 1e-4, room: 1e5}, 60, 50_000, func(_, ratio float64) {
		require.InDelta(t, 1, ratio, 0)
	})
	_, limited := c.Step(1, true, 0.9, 0, 0)
	require.False(t, limited, "nothing was offered")
}

// TestALoadThatSamplingCanTakeSettles: twice what the plant takes unsampled.
// The queue settles around the set point and the ratio stops moving.
func TestALoadThatSamplingCanTakeSettles(t *testing.T) {
	c := &Controller{SetPoint: 0.7}
	p := &plant{capacity: 1, before: 2e-6, after: 1e-5, room: 250_000}
	var ratios, fills []float64
	run(c, p, 120, 160_000, func(fill, ratio float64) { ratios, fills = append(ratios, ratio), append(fills, fill) })
	late := ratios[len(ratios)-60:]
	least, most := late[0], late[0]
	for i, r := range late {
		least, most = min(least, r), max(most, r)
		require.Greater(t, fills[len(fills)-60+i], 0.3)
		require.Less(t, fills[len(fills)-60+i], 0.999)
	}
	t.Logf("ratio %.3f to %.3f", least, most)
	require.InDelta(t, 0.425, (least+most)/2, 0.15) // where 160,000 a second fit
	require.Less(t, most/least, 2.0)

	fallen := 0
	run(c, p, 60, 20_000, func(_, ratio float64) {
		if ratio < 1 {
			fallen++
		}
	})
	require.Less(t, fallen, 60, "the load is gone: everything is kept again within half a minute")
	require.Zero(t, c.base)
}

// TestALoadThatSamplingCannotTake ends at the least ratio, and recovers.
func TestALoadThatSamplingCannotTake(t *testing.T) {
	c := &Controller{SetPoint: 0.7}
	p := &plant{capacity: 1, before: 1e-5, after: 1e-5, room: 250_000}
	last := 0.0
	run(c, p, 60, 1_000_000, func(_, ratio float64) { last = ratio })
	require.InDelta(t, 0.01, last, 0.001)
	run(c, p, 60, 1000, func(_, ratio float64) { last = ratio })
	require.InDelta(t, 1, last, 0)
}

func TestResetEndsTheLimit(t *testing.T) {
	c := &Controller{SetPoint: 0.7}
	_, limited := c.Step(0.5, true, 1, 1000, 10)
	require.True(t, limited)
	c.Reset()
	_, limited = c.Step(0.5, false, 1, 1000, 10)
	require.False(t, limited)
}
