package scopereceiver

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// TestPlant runs plants from testdata/plant.
//
//	plant rate=N [to=N shape=step|ramp|square|burst every=TIME] batch=TIME [slower=TIME] item=TIME [request=N] [even]
//
// rate is in items a second; batch and item are what a batch costs, slower is
// what it costs more each second. The load lasts for two minutes, but for the
// last five seconds. The answer says since when there were how many workers,
// how large batches became, and how long something waited.
func TestPlant(t *testing.T) {
	const duration, settled = 2 * time.Minute, time.Minute
	datadriven.RunTest(t, "testdata/plant", func(t *testing.T, d *datadriven.TestData) string {
		p := &plant{
			request: 100, even: d.HasArg("even"), bounds: WorkersConfig{2, 16},
			batch: BatchConfig{100, 10000, 10 * time.Millisecond}, duration: duration,
		}
		scan := func(key string, into any) {
			if d.HasArg(key) {
				d.ScanArgs(t, key, into)
			}
		}
		times := map[string]time.Duration{}
		for _, key := range []string{"batch", "item", "slower", "every"} {
			text := "0s"
			scan(key, &text)
			var err error
			times[key], err = time.ParseDuration(text)
			require.NoError(t, err)
		}
		var rate, to int
		var shape string
		d.ScanArgs(t, "rate", &rate)
		scan("to", &to)
		scan("shape", &shape)
		scan("request", &p.request)
		p.rate = func(at time.Duration) float64 {
			if at > duration-5*time.Second {
				return 0
			}
			return float64(rate) + float64(to-rate)*shapes[shape](at, times["every"])
		}
		p.cost = func(at time.Duration, items int) time.Duration {
			return times["batch"] + time.Duration(at.Seconds()*float64(times["slower"])) + time.Duration(items)*times["item"]
		}
		p.run()
		allowed := 1
		if shape != "" {
			allowed = 2 // one goes, and is missed
		}
		require.LessOrEqual(t, p.most(10*time.Second, settled), allowed, "changes within 10 s: %s", p.story())
		require.Zero(t, p.swings(5*time.Second), "up, down and up within 5 s: %s", p.story())
		require.Zero(t, p.queued+len(p.underWay), "the backlog ends")
		return fmt.Sprintf("%s\nbatches up to %d, waited up to %v\n", p.story(), p.largest, p.oldest)
	})
}

// shapes say how much of the other rate there is, 0 to 1.
var shapes = map[string]func(at, every time.Duration) float64{
	"":       func(time.Duration, time.Duration) float64 { return 0 },
	"ramp":   func(at, every time.Duration) float64 { return min(1, at.Seconds()/every.Seconds()) },
	"step":   func(at, every time.Duration) float64 { return float64(min(1, at/every)) },
	"square": func(at, every time.Duration) float64 { return float64(at / every % 2) },
	"burst": func(at, every time.Duration) float64 {
		if at%every < 200*time.Millisecond {
			return 1
		}
		return 0
	},
}

// plant is a receiver in virtual time, by steps of a millisecond: requests
// come, workers take batches by batchTarget and the ring's rule, the scaler
// decides how many workers there are.
type plant struct {
	rate     func(at time.Duration) float64                  // items a second
	cost     func(at time.Duration, items int) time.Duration // of a batch
	request  int                                             // items of each
	even     bool                                            // requests come evenly; else by chance
	bounds   WorkersConfig
	batch    BatchConfig
	duration time.Duration

	now      time.Duration
	dice     *rand.Rand
	credit   float64 // items that are due to come
	gap      float64 // items until the next request, if by chance
	waiting  []arrival
	queued   int
	workers  int
	underWay []time.Duration // when the batches end
	scaler   *scaler

	changes []change
	largest int // batch
	oldest  time.Duration
}

type arrival struct {
	at    time.Duration
	items int
}

// change is that from a time on there are so many workers.
type change struct {
	at      time.Duration
	workers int
}

const plantStep = time.Millisecond

func (p *plant) run() {
	p.dice = rand.New(rand.NewPCG(1, 2))
	p.workers, p.scaler = p.bounds.Min, newScaler()
	p.changes = []change{{0, p.workers}}
	for p.now = 0; p.now < p.duration; p.now += plantStep {
		p.underWay = slices.DeleteFunc(p.underWay, func(end time.Duration) bool { return end <= p.now })
		p.arrive()
		if p.now%scaleInterval == 0 {
			if n := p.scaler.next(p.load(), p.bounds, p.batch); n != p.workers {
				p.workers = n
				p.changes = append(p.changes, change{p.now, n})
			}
		}
		for len(p.underWay) < p.workers && p.take() {
		}
	}
}

func (p *plant) arrive() {
	p.credit += p.rate(p.now) * plantStep.Seconds()
	for p.credit >= p.gap {
		p.credit -= p.gap
		p.gap = float64(p.request)
		if !p.even {
			p.gap *= p.dice.ExpFloat64()
		}
		p.waiting = append(p.waiting, arrival{p.now, p.request})
		p.queued += p.request
	}
}

func (p *plant) load() load {
	l := load{workers: p.workers, busy: len(p.underWay), waiting: int64(p.queued)}
	if len(p.waiting) > 0 {
		l.oldest = p.now - p.waiting[0].at
	}
	p.oldest = max(p.oldest, l.oldest)
	return l
}

// take starts a batch, if the ring would give one.
func (p *plant) take() bool {
	l := p.load()
	if p.queued == 0 || len(p.underWay) > 0 && p.queued < p.batch.MinSize && l.oldest < p.batch.MaxDelay {
		return false
	}
	target, items := batchTarget(l, p.batch), 0
	for len(p.waiting) > 0 && (items == 0 || items+p.waiting[0].items <= target) {
		items += p.waiting[0].items
		p.waiting = p.waiting[1:]
	}
	p.queued -= items
	p.largest = max(p.largest, items)
	p.underWay = append(p.underWay, p.now+p.cost(p.now, items))
	return true
}

// most returns how many changes there were at most within any span of time
// that begins after from.
func (p *plant) most(span, from time.Duration) int {
	most := 0
	for i, c := range p.changes {
		n := 0
		for _, d := range p.changes[i:] {
			if c.at > from && d.at < c.at+span {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// swings counts how often the number went up, down and up again within span.
func (p *plant) swings(span time.Duration) int {
	var turns []change // the changes at which the direction changed
	up := false
	n := 0
	for i := 1; i < len(p.changes); i++ {
		c := p.changes[i]
		if rises := c.workers > p.changes[i-1].workers; i == 1 || rises != up {
			up = rises
			turns = append(turns, c)
		}
	}
	for i := 2; i < len(turns); i++ {
		if up := turns[i].workers > turns[i-1].workers; up && turns[i].at-turns[i-2].at < span {
			n++
		}
	}
	return n
}

func (p *plant) story() string {
	words := make([]string, len(p.changes))
	for i, c := range p.changes {
		words[i] = fmt.Sprintf("%gs:%d", c.at.Seconds(), c.workers)
	}
	return strings.Join(words, " ")
}
