package queryextension

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/otelscope/otelscope/internal/pressure"
	"github.com/otelscope/otelscope/internal/store"
)

// storeSource reads how hard-pressed the store is. A store that refuses every
// write has stalled, whether anybody waits for it or not; other trouble of it
// shows as backlog when it comes to that.
func storeSource(stats func() store.Stats) pressure.Source {
	return func() []pressure.Reading {
		s := stats()
		waited := time.Duration(s.StalledMillis) * time.Millisecond
		stall := pressure.Reading{
			Kind:  pressure.Stall,
			Value: waited.Seconds() / store.RoomWait.Seconds(),
			Words: fmt.Sprintf("a writer has waited %s for room in the store, at %s it is refused", waited, store.RoomWait),
		}
		if s.Refusing != "" {
			stall.Value, stall.Words = 1, "the store refuses writes: "+s.Refusing
		}
		return []pressure.Reading{stall, {
			Kind:  pressure.Backlog,
			Value: s.Backlog,
			Words: fmt.Sprintf("the store's backlog takes %.0f %% of its room", 100*s.Backlog),
		}}
	}
}

// watchPressure logs changes of level, and hands them to count, until ctx ends.
func watchPressure(ctx context.Context, m *pressure.Monitor, count func(entered pressure.Level), logger *zap.Logger) {
	ticker := time.NewTicker(pressure.Interval)
	defer ticker.Stop()
	seen := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			var changes []pressure.Change
			changes, seen = m.ChangesAfter(seen)
			for _, change := range changes {
				count(change.To)
				logChange(logger, change)
			}
		}
	}
}

func logChange(logger *zap.Logger, change pressure.Change) {
	log := logger.Info
	if change.To >= pressure.High {
		log = logger.Warn
	}
	log("The level of pressure has changed",
		zap.Stringer("level", change.To),
		zap.Stringer("from", change.From),
		zap.Float64("score", change.Score),
		zap.String("reason", change.Reason))
}

// pressureJSON is pressure.State with its history, times as the API writes
// them.
type pressureJSON struct {
	pressure.State
	Since   string       `json:"since"`
	History []changeJSON `json:"history"` // oldest first
}

type changeJSON struct {
	pressure.Change
	Time string `json:"time"`
}

func pressureOf(m *pressure.Monitor) pressureJSON {
	state := m.State()
	answer := pressureJSON{State: state, Since: timeJSON(state.Since), History: []changeJSON{}}
	for _, change := range m.History() {
		answer.History = append(answer.History, changeJSON{change, timeJSON(change.Time)})
	}
	return answer
}
