package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/otelscope/otelscope/test/internal/collector"
)

// status is what matters here of the collector's own. What it does not say is
// zero.
type status struct {
	Pressure struct {
		Level    string  `json:"level"`
		Score    float64 `json:"score"`
		Reason   string  `json:"reason"`
		Strategy string  `json:"strategy"`
		History  []turn  `json:"history"`
	} `json:"pressure"`
	Store struct {
		Trouble string `json:"trouble"`
		Spans   int64  `json:"spans"`
	} `json:"store"`
	Components struct {
		Scope struct {
			Ring struct {
				Queued   int64   `json:"queued_items"`
				InFlight int64   `json:"in_flight_items"`
				Accepted int64   `json:"accepted_items"`
				Refused  int64   `json:"refused_items"`
				Dropped  int64   `json:"dropped_items"`
				Fill     float64 `json:"fill"`
			} `json:"ring"`
			Events struct {
				Refused int64 `json:"refused_requests"`
			} `json:"events"`
		} `json:"scope"`
		Pressure struct {
			Sampling struct {
				Active  bool    `json:"active"`
				Offered float64 `json:"offered_per_second"`
				Kept    float64 `json:"kept_per_second"`
				Ratio   float64 `json:"ratio"`
			} `json:"sampling"`
			Spans struct {
				Kept       int64            `json:"kept"`
				SampledOut map[string]int64 `json:"sampled_out"`
				Rescued    int64            `json:"rescued"`
			} `json:"spans"`
			Breaker struct {
				State   string `json:"state"`
				History []turn `json:"history"`
			} `json:"breaker"`
		} `json:"pressure"`
	} `json:"components"`
}

// turn is a change of level, or of the breaker.
type turn struct {
	Time   json.RawMessage `json:"time"`
	From   string          `json:"from"`
	To     string          `json:"to"`
	Score  float64         `json:"score,omitempty"`
	Reason string          `json:"reason"`
}

const normal = "normal"

func (s *status) level() string { return cmp.Or(s.Pressure.Level, normal) }

// sampledOut is how many spans sampling dropped for good.
func (s *status) sampledOut() int64 {
	n := -s.Components.Pressure.Spans.Rescued
	for _, of := range s.Components.Pressure.Spans.SampledOut {
		n += of
	}
	return n
}

func (s *status) ringItems() int64 {
	return s.Components.Scope.Ring.Queued + s.Components.Scope.Ring.InFlight
}

// watched is what a watch saw.
type watched struct {
	Seconds   float64            `json:"seconds"`
	PeakRSSMB float64            `json:"peak_rss_mb"` // since the collector's start
	MaxFill   float64            `json:"max_ring_fill"`
	MaxScore  float64            `json:"max_score"`
	Refused   int64              `json:"items_refused_by_the_ring"` // since the collector's start
	AtLevel   map[string]float64 `json:"seconds_at_level"`
	MinRatio  float64            `json:"least_sampling_ratio"` // 0: nothing was sampled
	Reasons   map[string]string  `json:"reasons"`              // the last at each level
	Missed    int                `json:"unanswered_polls"`
	Samples   []sample           `json:"samples"` // one in sampleEvery
}

// sample is one look at the collector.
type sample struct {
	At     float64 `json:"seconds"`
	Level  string  `json:"level"`
	Score  float64 `json:"score"`
	Fill   float64 `json:"ring_fill"`
	Ratio  float64 `json:"sampling_ratio"`
	RSSMB  float64 `json:"rss_mb"`
	Reason string  `json:"reason,omitempty"`
}

const (
	pollEvery   = 200 * time.Millisecond
	sampleEvery = 5 * time.Second
)

// watch looks at the collector's status and memory until it is ended.
type watch struct {
	stop  context.CancelFunc
	wg    sync.WaitGroup
	begin time.Time
	seen  watched
	last  time.Time // of the last sample

	mu     sync.Mutex
	newest status
}

func newWatch(ctx context.Context, p *collector.Process, api *collector.API, progress func(sample)) *watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{stop: cancel, begin: time.Now(), seen: watched{AtLevel: map[string]float64{}, Reasons: map[string]string{}}}
	w.wg.Go(func() {
		ticker := time.NewTicker(pollEvery)
		defer ticker.Stop()
		before := w.begin
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			var s status
			asking, done := context.WithTimeout(ctx, 5*time.Second)
			err := api.Status(asking, &s)
			done()
			if err != nil {
				w.seen.Missed++
				continue
			}
			w.look(&s, p, before, progress)
			before = time.Now()
		}
	})
	return w
}

func (w *watch) look(s *status, p *collector.Process, before time.Time, progress func(sample)) {
	rss, _ := p.RSS() // 0 once the process is gone, which others notice
	level := s.level()
	w.seen.AtLevel[level] += time.Since(before).Seconds()
	w.seen.MaxFill = max(w.seen.MaxFill, s.Components.Scope.Ring.Fill)
	w.seen.MaxScore = max(w.seen.MaxScore, s.Pressure.Score)
	w.seen.Refused = s.Components.Scope.Ring.Refused
	if s.Pressure.Reason != "" {
		w.seen.Reasons[level] = s.Pressure.Reason
	}
	sampling := s.Components.Pressure.Sampling
	if sampling.Active && (w.seen.MinRatio == 0 || sampling.Ratio < w.seen.MinRatio) {
		w.seen.MinRatio = sampling.Ratio
	}
	w.mu.Lock()
	w.newest = *s
	w.mu.Unlock()
	if time.Since(w.last) >= sampleEvery {
		w.last = time.Now()
		one := sample{time.Since(w.begin).Seconds(), level, s.Pressure.Score, s.Components.Scope.Ring.Fill, sampling.Ratio, float64(rss) / 1e6, s.Pressure.Reason}
		w.seen.Samples = append(w.seen.Samples, one)
		if progress != nil {
			progress(one)
		}
	}
}

// now returns the newest status.
func (w *watch) now() status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.newest
}

// turns is how often the level has changed.
func (w *watch) turns() int {
	s := w.now()
	return len(s.Pressure.History)
}

// reason is why the level is what it is.
func (w *watch) reason() string {
	s := w.now()
	return s.Pressure.Reason
}

// end stops looking and returns what was seen.
func (w *watch) end(p *collector.Process) watched {
	w.stop()
	w.wg.Wait()
	w.seen.Seconds = time.Since(w.begin).Seconds()
	if peak, err := p.PeakRSS(); err == nil {
		w.seen.PeakRSSMB = float64(peak) / 1e6
	}
	return w.seen
}

// settlement is how a collector came to rest.
type settlement struct {
	empty, calm time.Duration // until the ring was empty, the level normal; 0: never
	last        status
}

// settleWithin is how long a collector may take to come to rest.
const settleWithin = 2 * time.Minute

// settle waits until the ring has been empty and the level normal. That either
// never was is no error here.
func settle(ctx context.Context, api *collector.API) (settlement, error) {
	begin := time.Now()
	var out settlement
	for {
		var s status
		if err := api.Status(ctx, &s); err != nil {
			return out, err
		}
		out.last = s
		if out.empty == 0 && s.ringItems() == 0 {
			out.empty = time.Since(begin)
		}
		if out.calm == 0 && s.level() == normal {
			out.calm = time.Since(begin)
		}
		if out.empty > 0 && out.calm > 0 || time.Since(begin) > settleWithin {
			return out, nil
		}
		pause(ctx, pollEvery/2)
		if err := ctx.Err(); err != nil {
			return out, err
		}
	}
}

// problems says what did not come to rest.
func (s settlement) problems() (all []string) {
	if s.empty == 0 {
		all = append(all, fmt.Sprintf("the ring was not empty within %s", settleWithin))
	}
	if s.calm == 0 {
		all = append(all, fmt.Sprintf("the level was not normal within %s", settleWithin))
	}
	return all
}
