package queryextension

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/otelscope/otelscope/internal/store"
)

// statusJSON is the answer of /api/v1/status.
type statusJSON struct {
	Version       string                     `json:"version"`
	UptimeSeconds float64                    `json:"uptime_seconds"`
	Time          string                     `json:"time"` // nanoseconds since the epoch
	Store         storeJSON                  `json:"store"`
	Pressure      pressureJSON               `json:"pressure"`
	Components    map[string]json.RawMessage `json:"components"` // by component id
}

// storeJSON is store.Stats with its time as the API writes times; "" when
// nothing is stored.
type storeJSON struct {
	store.Stats
	Oldest string `json:"oldest"`
}

func (a *api) currentStatus() statusJSON {
	now := a.now()
	stats := a.store.Stats()
	return statusJSON{
		Version:       a.version,
		UptimeSeconds: now.Sub(a.started).Seconds(),
		Time:          timeJSON(now),
		Store:         storeJSON{Stats: stats, Oldest: timeJSON(stats.Oldest)},
		Pressure:      pressureOf(a.monitor),
		Components:    a.registry.figures(),
	}
}

// timeJSON is "" for the zero time.
func timeJSON(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return nanoseconds(uint64(t.UnixNano()))
}

func (a *api) status(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, "application/json", http.StatusOK, a.currentStatus())
	return nil
}

// health tells a load balancer or an orchestrator whether the store takes
// work.
func (a *api) health(w http.ResponseWriter, _ *http.Request) error {
	if trouble := a.store.Stats().Trouble; trouble != "" {
		return newProblem(http.StatusServiceUnavailable, "", "the store is in trouble: %s", trouble)
	}
	writeJSON(w, "application/json", http.StatusOK, map[string]string{"status": "ok"})
	return nil
}
