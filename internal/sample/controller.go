package sample

import "math"

// Controller makes a budget, in spans a second, of the pressure that is felt.
// The budget falls while the score is above the set point and rises while it is
// below, in proportion to the distance, and faster down than up: what does not
// fit is refused meanwhile, what could have been kept is only missed. A budget
// is absolute, so when twice as much is offered half as much of it is kept at
// once, before any pressure says so.
type Controller struct {
	// SetPoint is the score, 0 to 1, that the budget aims at.
	SetPoint float64

	budget float64 // 0: nothing is limited
}

// Gains, a second: the budget changes by gain * distance.
const (
	gainDown = 1.5
	gainUp   = 0.5
	// enough is the part of what is offered, above which a budget limits
	// nothing any more.
	enough = 1.25
)

// Step returns the budget for the next time; limited is false where everything
// may be kept. seconds have passed since the last step. pressed says that the
// level is one at which something is shed, offered and least are in spans a
// second: what came, and what is kept whatever the pressure.
func (c *Controller) Step(seconds float64, pressed bool, score, offered, least float64) (budget float64, limited bool) {
	if c.budget == 0 {
		if !pressed || offered == 0 {
			return 0, false
		}
		c.budget = offered
	}
	distance := c.SetPoint - score
	gain := gainUp
	if distance < 0 {
		gain = gainDown
	}
	c.budget *= math.Exp(gain * distance * seconds)
	c.budget = max(c.budget, least)
	if c.budget >= enough*offered {
		c.budget = enough * offered
		if !pressed {
			c.budget = 0
			return 0, false
		}
	}
	return c.budget, true
}

// Reset ends the limit: another strategy is in force.
func (c *Controller) Reset() { c.budget = 0 }
