package queryextension

import (
	"net/http"

	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
)

// stateJSON is an entity's state at a time, and how it came to it.
type stateJSON struct {
	Entity  string  `json:"entity"`
	Service string  `json:"service"`
	Node    string  `json:"node"`  // "" unless the entity is a process
	At      string  `json:"at"`    // nanoseconds since the epoch
	State   *string `json:"state"` // null where it is not known
	// Since is when the transition to the state was, and Span what it was; ""
	// and null before the first one that is known.
	Since     string           `json:"since"`
	Span      *spanJSON        `json:"span"`
	History   []transitionJSON `json:"history"` // up to the time, in order
	Truncated bool             `json:"truncated"`
	Cursor    string           `json:"cursor,omitempty"` // only where there are more transitions
}

// transitionJSON is a change of state.
type transitionJSON struct {
	Time    string     `json:"time"`
	From    string     `json:"from"` // "" where it does not say
	To      string     `json:"to"`
	Version any        `json:"version"` // null where it does not say
	Span    endJSON    `json:"span"`
	Causes  []edgeJSON `json:"causes"`
}

// state answers an entity's state.
func (a *api) state(w http.ResponseWriter, req *http.Request) error {
	entity := req.PathValue("entity")
	opts := query.StateOptions{Place: askedPlace(req), MaxBytes: int(a.cfg.Query.MaxBytes), Cursor: req.URL.Query().Get("cursor")}
	var err error
	if opts.At, err = timeOf(req, "at"); err != nil {
		return err
	}
	if opts.Filter, err = filterOf(req); err != nil {
		return err
	}
	if opts.Limit, err = limitOf(req); err != nil {
		return err
	}
	src, leave, err := a.takeTurn(req.Context())
	if err != nil {
		return err
	}
	defer leave()
	found, err := query.EntityState(req.Context(), src, entity, opts)
	if err != nil {
		return err
	}
	if !found.Known {
		return newProblem(http.StatusNotFound, "entity", "no state of %q is stored%s", entity, where(opts.Place.Service, opts.Place.Node))
	}
	answer, err := newStateJSON(entity, found)
	if err != nil {
		return err
	}
	if answer.At = nanoseconds(opts.At); opts.At == 0 {
		answer.At = nanoseconds(max(found.Latest, uint64(a.now().UnixNano())))
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

func newStateJSON(entity string, found query.State) (stateJSON, error) {
	answer := stateJSON{
		Entity: entity, Service: found.Place.Service, Node: found.Place.Node,
		History: make([]transitionJSON, len(found.History)), Truncated: found.Truncated, Cursor: found.Cursor,
	}
	if found.State != "" {
		answer.State = &found.State
	}
	if found.Since != nil {
		answer.Since = nanoseconds(found.Since.Time)
	}
	if found.Span != nil {
		decoded, err := newSpansJSON([]store.Span{*found.Span})
		if err != nil {
			return stateJSON{}, err
		}
		answer.Span = &decoded[0]
	}
	for i, t := range found.History {
		answer.History[i] = transitionJSON{
			Time: nanoseconds(t.Time), From: t.From, To: t.To, Span: newEndJSON(t.Ref, t.Event, false), Causes: newEdgesJSON(t.Causes),
		}
		if t.HasVersion {
			answer.History[i].Version = integerJSON(t.Version)
		}
	}
	return answer, nil
}
