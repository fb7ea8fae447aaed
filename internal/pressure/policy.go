package pressure

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// Settings are what a Policy works by.
type Settings struct {
	Thresholds Thresholds
	// Strategy is in force at Moderate and above, unless ByLevel has another.
	Strategy Strategy
	ByLevel  map[Level]Strategy
}

// DefaultSettings are in force as long as nobody has configured others.
func DefaultSettings() Settings {
	return Settings{Thresholds: DefaultThresholds, Strategy: Off}
}

func (s Settings) at(l Level) Strategy {
	if other, ok := s.ByLevel[l]; ok {
		return other
	}
	return s.Strategy
}

// Times of the policy; see the package comment.
const (
	Confirm = 300 * time.Millisecond
	Silence = 10 * time.Second
)

// State is the outcome of a step.
type State struct {
	Level Level     `json:"level"`
	Since time.Time `json:"since"`
	// Score is the highest reading, whatever the level.
	Score float64 `json:"score"`
	// Reason says why the level is what it is, in words: which readings stand
	// at or above what keeps it; "" at Normal.
	Reason string `json:"reason"`
	// Readings are the newest of each kind, highest first.
	Readings []Gauge `json:"readings"`
	// Silent are the kinds that have said nothing for Silence.
	Silent []Kind `json:"silent"`
	// Strategy is what is in force at this level.
	Strategy Strategy `json:"strategy"`
	// Admission is the part of the ring that may be filled, above 0 to 1. It
	// shrinks where pressure comes from elsewhere than the ring, where there is
	// no memory for more, and where the strategy refuses.
	Admission float64 `json:"admission"`
}

// Gauge is a reading in a State.
type Gauge struct {
	Kind  Kind    `json:"kind"`
	Value float64 `json:"value"`
	Words string  `json:"words"`

	held, limit int64 // bytes; see Reading
}

// Policy makes levels of readings. The zero value is not ready: NewPolicy.
type Policy struct {
	settings Settings
	level    Level
	since    time.Time
	reason   string

	last map[Kind]heard
	// above is when the score rose to a level's threshold and stayed; reached
	// is when it was last at or above what ends the level. Zero: never.
	above, reached [levels]time.Time
	admission      float64
	stepped        time.Time
}

type heard struct {
	gauge Gauge
	at    time.Time
}

// NewPolicy returns a policy at Normal.
func NewPolicy(s Settings, now time.Time) *Policy {
	return &Policy{settings: s, since: now, last: map[Kind]heard{}, admission: 1, stepped: now}
}

// Configure changes the settings. The level stays until a step ends it.
func (p *Policy) Configure(s Settings) { p.settings = s }

// Forget drops what was heard of a kind, whose source is gone for good.
func (p *Policy) Forget(kind Kind) { delete(p.last, kind) }

// Step takes the readings of one moment. Of several of one kind (two rings) the
// highest counts. now never goes back.
func (p *Policy) Step(now time.Time, readings []Reading) State {
	p.hear(now, readings)
	gauges, silent := p.gauges(now)
	score := 0.0
	if len(gauges) > 0 {
		score = gauges[0].Value
	}
	p.move(now, score, gauges)
	p.admit(now, gauges)
	p.stepped = now
	return State{
		Level: p.level, Since: p.since, Score: score, Reason: p.reason,
		Readings: gauges, Silent: silent, Strategy: p.settings.at(p.level), Admission: p.admission,
	}
}

func (p *Policy) hear(now time.Time, readings []Reading) {
	for _, r := range readings {
		if r.Value != r.Value {
			continue
		}
		g := Gauge{r.Kind, min(max(r.Value, 0), 1), r.Words, r.Held, r.Limit}
		if h, ok := p.last[r.Kind]; ok && h.at.Equal(now) && h.gauge.Value >= g.Value {
			continue
		}
		p.last[r.Kind] = heard{g, now}
	}
}

// gauges are what still counts, highest first, and who has gone silent.
func (p *Policy) gauges(now time.Time) (gauges []Gauge, silent []Kind) {
	gauges, silent = []Gauge{}, []Kind{}
	for kind, h := range p.last {
		if now.Sub(h.at) >= Silence {
			silent = append(silent, kind)
			continue
		}
		gauges = append(gauges, h.gauge)
	}
	slices.SortFunc(gauges, func(a, b Gauge) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Kind, b.Kind))
	})
	slices.Sort(silent)
	return gauges, silent
}

// move goes up to the highest level whose threshold has been held for Confirm,
// else down to the highest that has not ended. A level that was only come down
// to lasts for Hold too.
func (p *Policy) move(now time.Time, score float64, gauges []Gauge) {
	t := p.settings.Thresholds
	next := Normal
	for l := Moderate; l <= Critical; l++ {
		if score >= t.of(l)-t.Hysteresis {
			p.reached[l] = now
		}
		switch {
		case score < t.of(l):
			p.above[l] = time.Time{}
		case p.above[l].IsZero():
			p.above[l] = now
		}
		confirmed := !p.above[l].IsZero() && now.Sub(p.above[l]) >= Confirm
		held := l <= p.level && now.Sub(p.reached[l]) < t.Hold
		young := l == p.level && now.Sub(p.since) < t.Hold
		if confirmed || held || young {
			next = l
		}
	}
	if next != p.level {
		p.level, p.since = next, now
	}
	p.reason = reason(p.level, t, gauges)
}

// reason names the readings that keep the level, or says that it only lasts
// out its hold.
func reason(l Level, t Thresholds, gauges []Gauge) string {
	if l == Normal {
		return ""
	}
	var keep []string
	for _, g := range gauges {
		if g.Value >= t.of(l)-t.Hysteresis {
			keep = append(keep, cmp.Or(g.Words, string(g.Kind)))
		}
	}
	if len(keep) == 0 {
		return "the load has fallen, the level is held for " + t.Hold.String()
	}
	return strings.Join(keep, "; ")
}

// Bounds and pace of admission. What the ring may hold is halved once in
// admissionPause while something else than the ring is critical (its contents
// are memory, and work that the others cannot take), and given back at a
// tenth a second. At any level the ring may grow only into spare of the memory
// that is free: it fills faster than the garbage collector tells.
const (
	spare            = 0.3
	leastAdmission   = 1.0 / 16
	refuseAdmission  = 0.5
	admissionPause   = time.Second
	admissionRegrows = 0.1
)

func (p *Policy) admit(now time.Time, gauges []Gauge) {
	elapsed := now.Sub(p.stepped).Seconds()
	strategy := p.settings.at(p.level)
	limit := 1.0
	if strategy == Refuse && p.level >= High {
		limit = refuseAdmission
	}
	others := 0.0
	for _, g := range gauges {
		if g.Kind != Ring && g.Kind != Waiting {
			others = max(others, g.Value)
		}
	}
	t := p.settings.Thresholds
	switch {
	case strategy == Off:
		p.admission = 1
	case p.level == Critical && others >= t.Critical-t.Hysteresis:
		// A half each admissionPause, in as many steps as there are.
		p.admission *= math.Exp2(-elapsed / admissionPause.Seconds())
	case others < t.High:
		p.admission += admissionRegrows * elapsed
	}
	if strategy != Off {
		limit = min(limit, ceiling(gauges))
	}
	p.admission = max(min(p.admission, limit), leastAdmission)
}

// ceiling is the part of the ring for which there is memory, 1 where that is
// not known.
func ceiling(gauges []Gauge) float64 {
	var ring, memory Gauge
	for _, g := range gauges {
		switch g.Kind {
		case Ring:
			ring = g
		case Memory:
			memory = g
		}
	}
	if ring.limit == 0 || memory.limit == 0 {
		return 1
	}
	free := spare * float64(max(0, memory.limit-memory.held))
	return (float64(ring.held) + free) / float64(ring.limit)
}
