package sample

import (
	"cmp"
	"math"
	"slices"
)

// divide returns for each offer the part of it that is taken, so that about
// budget is taken in all: everybody gets what they offer or an equal share,
// whichever is less, and never less than least of the offer.
func divide(offers []float64, budget, least float64) []float64 {
	order := make([]int, len(offers))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(offers[a], offers[b]) })
	ratios := make([]float64, len(offers))
	for n, i := range order {
		share := budget / float64(len(order)-n)
		ratio := 1.0
		if offers[i] > share {
			ratio = max(least, share/offers[i])
		}
		ratios[i] = ratio
		budget = max(0, budget-ratio*offers[i])
	}
	return ratios
}

// Rates follow changes with this time constant; keys below forgotten spans a
// second are not remembered.
const (
	rateSeconds = 2.0
	forgotten   = 0.01
)

// rate is an exponentially weighted mean of events a second. The zero value
// takes its first measurement as it is.
type rate struct {
	n         int // since the last measurement
	perSecond float64
	begun     bool
}

func (r *rate) measure(seconds float64) float64 {
	now := float64(r.n) / seconds
	r.n = 0
	if !r.begun {
		r.begun, r.perSecond = true, now
		return now
	}
	r.perSecond += (1 - math.Exp(-seconds/rateSeconds)) * (now - r.perSecond)
	return r.perSecond
}
