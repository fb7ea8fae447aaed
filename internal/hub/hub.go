// Package hub is how components find what they share: the store, and the
// parts of status pages that each of them contributes. The scope_query
// extension implements Hub; the others find it by component id through the
// host, never through a global.
package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/otelscope/otelscope/internal/pressure"
	"github.com/otelscope/otelscope/internal/store"
)

// Hub is what the extension offers to the other components. It outlives them:
// extensions start before pipelines and stop after them.
type Hub interface {
	component.Component

	// Store returns the shared store. It is never nil between the hub's Start
	// and Shutdown; the hub owns it and alone closes it.
	Store() store.Store

	// RegisterStatus adds a part of /api/v1/status under the component's id.
	// figures is called for each answer, from any goroutine, and returns
	// something that encodes to JSON. The returned func takes it off again
	// and may be called more than once.
	RegisterStatus(id component.ID, figures func() any) (unregister func())

	// Pressure returns the shared monitor of pressure, which the hub steps. It
	// is never nil between the hub's Start and Shutdown.
	Pressure() *pressure.Monitor

	// RegisterIntake offers a receiver's levers to the API, under the
	// receiver's id. The returned func takes them off again.
	RegisterIntake(id component.ID, levers Intake) (unregister func())

	// RegisterSampling offers a processor's levers to the API, under the
	// processor's id. The returned func takes them off again.
	RegisterSampling(id component.ID, levers Sampling) (unregister func())

	// RegisterDeadLetters offers a receiver's dead letters to the API, under
	// the receiver's id. The returned func takes them off again.
	RegisterDeadLetters(id component.ID, letters DeadLetters) (unregister func())
}

// Intake are the levers of a receiver. Methods may be called from any
// goroutine; what they set lasts until the receiver ends.
type Intake interface {
	// Pause lets no worker take anything more; what comes waits within the
	// ring's bounds, and is refused beyond. Resume ends that. Either may be
	// called in any state.
	Pause()
	Resume()
	// SetWorkers bounds how many workers run. The error names the parameter
	// (min, max), its value and what is allowed.
	SetWorkers(low, high int) error
	// SetBatch bounds what a worker takes at once. The error names the
	// parameter (min_size, max_size), its value and what is allowed.
	SetBatch(low, high int) error
}

// Sampling are the levers of a processor that sheds. Methods may be called
// from any goroutine; what they set lasts until the processor ends.
type Sampling interface {
	// SetRatio fixes the part of chains that is kept, above 0 to 1, whatever
	// the level; nil lets it follow the load again.
	SetRatio(ratio *float64) error
}

// DeadLetter describes one thing that could not be processed.
type DeadLetter struct {
	ID      string    `json:"id"` // unique within its receiver, orders by age
	Time    time.Time `json:"time"`
	Source  string    `json:"source"` // event: an invalid event; batch: refused by the pipeline; panic: it made a worker panic
	Format  string    `json:"format"` // json, protobuf: a native event; otlp: OTLP protobuf
	Reason  string    `json:"reason"`
	Bytes   int       `json:"bytes"`
	Payload []byte    `json:"payload,omitempty"` // base64 in JSON; only where asked for
}

// Replayed says what became of a replay.
type Replayed struct {
	Replayed int           `json:"replayed"`
	Failed   []ReplayError `json:"failed"`
}

// ReplayError is one letter that could not be replayed, and is kept.
type ReplayError struct {
	ID    string `json:"id"`
	Error string `json:"error"`
}

// DeadLetters is what a receiver offers of its dead letters. Methods may be
// called from any goroutine.
type DeadLetters interface {
	// List returns up to limit letters that come after the one with id after
	// ("" means from the oldest), oldest first; more says that others follow.
	List(ctx context.Context, after string, limit int, payload bool) (letters []DeadLetter, more bool, err error)
	// Replay sends the letters with these ids, or all when ids is empty,
	// through the pipeline again and removes those that were taken.
	Replay(ctx context.Context, ids []string) (Replayed, error)
}

// Figures encodes what a status func returned; an error there becomes the
// figure, so that one component cannot break the page.
func Figures(f func() any) json.RawMessage {
	b, err := json.Marshal(f())
	if err != nil {
		b, _ = json.Marshal(map[string]string{"error": err.Error()})
	}
	return b
}

// Find returns the hub with this id. key is the configuration key that named
// it ("hub", "store"), for the error, which lists the hubs there are.
func Find(host component.Host, key string, id component.ID) (Hub, error) {
	extensions := host.GetExtensions()
	if ext, ok := extensions[id]; ok {
		if h, ok := ext.(Hub); ok {
			return h, nil
		}
		return nil, fmt.Errorf("%s: extension %q is no scope_query extension", key, id)
	}
	var candidates []string
	for other, ext := range extensions {
		if _, ok := ext.(Hub); ok {
			candidates = append(candidates, other.String())
		}
	}
	slices.Sort(candidates)
	found := "there is none"
	if len(candidates) > 0 {
		found = "there is " + strings.Join(candidates, ", ")
	}
	return nil, fmt.Errorf("%s: no extension %q: is it listed under service.extensions? (%s)", key, id, found)
}
