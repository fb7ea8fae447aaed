package queryextension

import (
	"context"
	"errors"
	"net/http"
)

// gate bounds how many searches run at once, so that many of them, or a few
// that are heavy, leave the machine to what comes in.
type gate struct {
	places chan struct{}
}

func newGate(most int) *gate { return &gate{places: make(chan struct{}, most)} }

// enter waits for a place, until ctx ends; leave gives it back.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	select {
	case g.places <- struct{}{}:
		return func() { <-g.places }, nil
	default:
	}
	select {
	case g.places <- struct{}{}:
		return func() { <-g.places }, nil
	case <-ctx.Done():
	}
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, ctx.Err()
	}
	p := newProblem(http.StatusServiceUnavailable, "",
		"the search found no place within its time: %d run at once (query::max_concurrent of the extension)", cap(g.places))
	p.retryAfter = "1"
	return nil, p
}

// takeTurn waits for a place for a question that may take long, and returns the
// store to put it to; leave gives the place back.
func (a *api) takeTurn(ctx context.Context) (src polite, leave func(), err error) {
	leave, err = a.searches.enter(ctx)
	return polite{a.store}, leave, err
}
