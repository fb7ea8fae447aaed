package sample

import "math"

// Controller makes a budget, in spans a second, of the pressure that is felt: a
// proportional-integral controller of the budget's logarithm. What is felt is
// mostly how full a queue is, which sums up what is too much; so the integral
// alone would swing for ever, and the proportional part is what calms it.
//
// A budget is absolute, so when twice as much is offered half as much of it is
// kept at once, before any pressure says so.
type Controller struct {
	// SetPoint is the score, 0 to 1, that the budget aims at.
	SetPoint float64

	base float64 // the integral part; 0: nothing is limited
}

const (
	// integral is by how much the logarithm of the base changes in a second at
	// distance 1 from the set point. Down is faster than up: what does not fit
	// is refused meanwhile, what could have been kept is only missed.
	integralDown = 0.8
	integralUp   = 0.4
	proportional = 3.0
	// enough is the part of what is offered above which a budget limits nothing
	// any more.
	enough = 1.25
)

// Step returns the budget for the next time; limited is false where everything
// may be kept. seconds have passed since the last step. pressed says that the
// level is one at which something is shed, offered and least are in spans a
// second: what came, and what is kept whatever the pressure.
func (c *Controller) Step(seconds float64, pressed bool, score, offered, least float64) (budget float64, limited bool) {
	if c.base == 0 {
		if !pressed || offered == 0 {
			return 0, false
		}
		c.base = offered
	}
	distance := c.SetPoint - score
	gain := integralUp
	if distance < 0 {
		gain = integralDown
	}
	c.base *= math.Exp(gain * distance * seconds)
	c.base = min(max(c.base, least), enough*offered)
	if !pressed && c.base >= enough*offered {
		c.base = 0
		return 0, false
	}
	return max(least, c.base*math.Exp(proportional*distance)), true
}

// Reset ends the limit: another strategy is in force.
func (c *Controller) Reset() { c.base = 0 }
