package pressure

import (
	"fmt"
	"time"
)

// Level is how hard-pressed the collector is.
type Level uint8

// The levels, in ascending order.
const (
	Normal Level = iota
	Moderate
	High
	Critical

	levels = iota
)

var levelNames = [levels]string{"normal", "moderate", "high", "critical"}

func (l Level) String() string { return levelNames[l] }

// MarshalText writes the level's name.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads a level's name.
func (l *Level) UnmarshalText(text []byte) error {
	for i, name := range levelNames {
		if name == string(text) {
			*l = Level(i)
			return nil
		}
	}
	return fmt.Errorf("%q is not one of normal, moderate, high, critical", text)
}

// Thresholds are the scores, 0 to 1 and ascending, at which levels begin. See
// the package comment for Hysteresis and Hold.
type Thresholds struct {
	Moderate, High, Critical float64
	Hysteresis               float64
	Hold                     time.Duration
}

// DefaultThresholds are those of the pressure processor's configuration.
var DefaultThresholds = Thresholds{Moderate: 0.60, High: 0.80, Critical: 0.95, Hysteresis: 0.10, Hold: 10 * time.Second}

func (t Thresholds) of(l Level) float64 {
	return [levels]float64{0, t.Moderate, t.High, t.Critical}[l]
}
