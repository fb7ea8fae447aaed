package queryextension

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/otelscope/otelscope/internal/hub"
)

// deadLettersJSON is a page of dead letters: receiver after receiver, each
// one's oldest first.
type deadLettersJSON struct {
	DeadLetters []deadLetterJSON `json:"dead_letters"`
	Truncated   bool             `json:"truncated"`
	Cursor      string           `json:"cursor,omitempty"` // where the next page begins, if truncated
}

type deadLetterJSON struct {
	Receiver string `json:"receiver"`
	hub.DeadLetter
	Time string `json:"time"` // nanoseconds since the epoch
}

// place is what a cursor says: behind this letter.
type place struct {
	Receiver string `json:"receiver"`
	After    string `json:"after"`
}

func (p place) cursor() string {
	b, _ := json.Marshal(p) // two strings always encode
	return base64.RawURLEncoding.EncodeToString(b)
}

func placeOf(req *http.Request) (place, error) {
	var p place
	text := req.URL.Query().Get("cursor")
	if text == "" {
		return p, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		return p, newProblem(http.StatusBadRequest, "cursor", "%q is no cursor of an earlier answer", text)
	}
	return p, nil
}

func (a *api) listDeadLetters(w http.ResponseWriter, req *http.Request) error {
	limit, err := limitOf(req)
	if err != nil {
		return err
	}
	payload, err := flagOf(req, "payload")
	if err != nil {
		return err
	}
	from, err := placeOf(req)
	if err != nil {
		return err
	}
	answer, err := a.deadLetters(req.Context(), from, limit, payload)
	if err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

// deadLetters lists up to limit letters behind from.
func (a *api) deadLetters(ctx context.Context, from place, limit int, payload bool) (deadLettersJSON, error) {
	page := letterPage{
		deadLettersJSON: deadLettersJSON{DeadLetters: []deadLetterJSON{}},
		limit:           limit,
		payload:         payload,
		room:            int(a.cfg.Query.MaxBytes),
	}
	for _, receiver := range a.registry.letters.list() {
		if receiver.id < from.Receiver {
			continue
		}
		after := ""
		if receiver.id == from.Receiver {
			after = from.After
		}
		if err := page.add(ctx, receiver, after); err != nil || page.Truncated {
			return page.deadLettersJSON, err
		}
	}
	return page.deadLettersJSON, nil
}

// letterPage is a page that is being filled. With payloads it also ends at the
// query's memory bound, but never before its first letter.
type letterPage struct {
	deadLettersJSON
	limit   int
	payload bool
	room    int // bytes of payload that it still takes
}

// add takes what fits of a receiver's letters behind after. Where some are
// left it says so and sets the cursor.
func (p *letterPage) add(ctx context.Context, receiver named[hub.DeadLetters], after string) error {
	// One more than fits, to see whether another follows.
	letters, more, err := receiver.value.List(ctx, after, p.limit-len(p.DeadLetters)+1, false)
	if err != nil {
		return err
	}
	fit := p.fit(letters)
	more = more || fit < len(letters)
	letters = letters[:fit]
	if p.payload && fit > 0 {
		if letters, _, err = receiver.value.List(ctx, after, fit, true); err != nil {
			return err
		}
	}
	for _, letter := range letters {
		p.DeadLetters = append(p.DeadLetters, deadLetterJSON{receiver.id, letter, timeJSON(letter.Time)})
		after = letter.ID
	}
	if more {
		p.Truncated, p.Cursor = true, place{receiver.id, after}.cursor()
	}
	return nil
}

// fit says how many of the letters the page takes, and makes room for them.
func (p *letterPage) fit(letters []hub.DeadLetter) int {
	for i, letter := range letters {
		taken := len(p.DeadLetters) + i
		if taken == p.limit || p.payload && taken > 0 && letter.Bytes > p.room {
			return i
		}
		p.room -= letter.Bytes
	}
	return len(letters)
}

// replayRequest is the body of a replay; an empty body means everything.
type replayRequest struct {
	// Receiver limits the replay to one receiver's letters.
	Receiver string `json:"receiver"`
	// IDs are of letters of that receiver, which may be left out where there
	// is only one.
	IDs []string `json:"ids"`
}

type replayedJSON struct {
	Replayed int               `json:"replayed"`
	Failed   []replayErrorJSON `json:"failed"`
}

type replayErrorJSON struct {
	Receiver string `json:"receiver"`
	hub.ReplayError
}

func (a *api) replayDeadLetters(w http.ResponseWriter, req *http.Request) error {
	var wanted replayRequest
	if err := readJSON(req, &wanted); err != nil {
		return err
	}
	receivers, err := a.replayFrom(wanted)
	if err != nil {
		return err
	}
	answer := replayedJSON{Failed: []replayErrorJSON{}}
	for _, receiver := range receivers {
		done, err := receiver.value.Replay(req.Context(), wanted.IDs)
		if err != nil {
			return err
		}
		answer.Replayed += done.Replayed
		for _, failed := range done.Failed {
			answer.Failed = append(answer.Failed, replayErrorJSON{receiver.id, failed})
		}
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

// replayFrom returns the receivers whose letters are wanted.
func (a *api) replayFrom(wanted replayRequest) ([]named[hub.DeadLetters], error) {
	receivers := a.registry.letters.list()
	if wanted.Receiver == "" {
		if len(wanted.IDs) > 0 && len(receivers) != 1 {
			return nil, newProblem(http.StatusBadRequest, "receiver",
				"receiver is required with ids, since %d receivers keep dead letters", len(receivers))
		}
		return receivers, nil
	}
	known := make([]string, 0, len(receivers))
	for _, receiver := range receivers {
		if receiver.id == wanted.Receiver {
			return []named[hub.DeadLetters]{receiver}, nil
		}
		known = append(known, receiver.id)
	}
	return nil, newProblem(http.StatusNotFound, "receiver",
		"receiver %q keeps no dead letters here: there are [%s]", wanted.Receiver, strings.Join(known, ", "))
}
