package ring

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestCore replays the transcripts in testdata/core. Work is a name; time is what
// the command says it is, in milliseconds.
//
//	new items=N bytes=N partitions=N overflow=NAME
//	push REQUEST [client=N at=MS]   input: partition NAME items [bytes] [priority] [keys=0,63] a line
//	take BATCH max=N [min=N delay=MS at=MS]
//	complete BATCH NAME [error=TEXT]
//	release BATCH [error=TEXT at=MS] | close | fail | giveup REQUEST
//	overflow NAME | bound FRACTION | stats [at=MS]
func TestCore(t *testing.T) {
	datadriven.Walk(t, "testdata/core", func(t *testing.T, path string) {
		tr := &transcript{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return tr.step(t, d)
		})
	})
}

type transcript struct {
	core    *core[string]
	batches map[string]*Batch[string]
	answers map[string]*Completion
	blocked map[string]*blockedPush[string]
	said    map[string]bool
}

func (tr *transcript) step(t *testing.T, d *datadriven.TestData) string {
	var out strings.Builder
	name := ""
	if len(d.CmdArgs) > 0 {
		name = d.CmdArgs[0].Key
	}
	var at, items, maxItems, minItems, partitions, client int64
	maybe := func(key string, v *int64) {
		if d.HasArg(key) {
			d.ScanArgs(t, key, v)
		}
	}
	maybe("at", &at)
	now := at * int64(time.Millisecond)
	switch d.Cmd {
	case "new":
		var bytes int64
		var overflow string
		d.ScanArgs(t, "items", &items)
		d.ScanArgs(t, "bytes", &bytes)
		d.ScanArgs(t, "partitions", &partitions)
		d.ScanArgs(t, "overflow", &overflow)
		o, err := ParseOverflow(overflow)
		require.NoError(t, err)
		*tr = transcript{
			core:    newCore[string](Config{Partitions: int(partitions), MaxItems: items, MaxBytes: bytes, Overflow: o}),
			batches: map[string]*Batch[string]{}, answers: map[string]*Completion{},
			blocked: map[string]*blockedPush[string]{}, said: map[string]bool{},
		}
	case "push":
		maybe("client", &client)
		answer, blocked, err := tr.core.push(now, uint64(client), parseParts(t, d.Input))
		if answer != nil {
			tr.answers[name] = answer
		}
		switch {
		case blocked != nil:
			tr.blocked[name] = blocked
			out.WriteString("blocked\n")
		case err != nil:
			fmt.Fprintf(&out, "error: %v\n", err)
		default:
			out.WriteString("taken\n")
		}
	case "take":
		var delay int64
		d.ScanArgs(t, "max", &maxItems)
		maybe("min", &minItems)
		maybe("delay", &delay)
		b, wait := tr.core.take(now, Want{Max: int(maxItems), Min: int(minItems), Delay: time.Duration(delay) * time.Millisecond})
		if b == nil {
			fmt.Fprintf(&out, "nothing, wait %v, finished %v\n", time.Duration(wait), tr.core.finished())
			break
		}
		tr.batches[name] = b
		fmt.Fprintf(&out, "%s: %d items, %d bytes, claims %v\n", strings.Join(works(b), " "), b.Items, b.Bytes, b.claimed)
	case "complete":
		for _, e := range tr.batches[name].Entries {
			if e.Work == d.CmdArgs[1].Key {
				e.Complete(errArg(t, d))
			}
		}
	case "release":
		tr.core.release(now, tr.batches[name], errArg(t, d))
	case "giveup":
		fmt.Fprintf(&out, "left %v\n", tr.core.giveUp(now, tr.blocked[name]))
	case "close":
		tr.core.close(now)
	case "fail":
		tr.core.fail(now, errors.New("deadline"))
	case "stats":
		fmt.Fprintf(&out, "%+v\npressure %.3g\n", tr.core.stats(now), tr.core.pressure(now))
	case "overflow":
		o, err := ParseOverflow(name)
		require.NoError(t, err)
		tr.core.setOverflow(now, o)
	case "bound":
		fraction, err := strconv.ParseFloat(name, 64)
		require.NoError(t, err)
		tr.core.setBound(now, fraction)
	default:
		t.Fatalf("unknown command %q", d.Cmd)
	}
	tr.report(&out)
	tr.check(t)
	return out.String()
}

// report says which requests were decided and answered by the step.
func (tr *transcript) report(out *strings.Builder) {
	for _, name := range sortedKeys(tr.blocked) {
		w := tr.blocked[name]
		select {
		case err := <-w.decide:
			if err == nil {
				tr.answers[name] = w.answer
			}
			fmt.Fprintf(out, "%s: comes in: %v\n", name, err)
			delete(tr.blocked, name)
		default:
		}
	}
	for _, name := range sortedKeys(tr.answers) {
		select {
		case <-tr.answers[name].Done():
			if !tr.said[name] {
				fmt.Fprintf(out, "%s: answered %v\n", name, tr.answers[name].Err())
			}
			tr.said[name] = true
		default:
		}
	}
}

func (tr *transcript) check(t *testing.T) { checkInvariants(t, tr.core) }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func works(b *Batch[string]) []string {
	var out []string
	for _, e := range b.Entries {
		out = append(out, e.Work)
	}
	return out
}

func errArg(t *testing.T, d *datadriven.TestData) error {
	if !d.HasArg("error") {
		return nil
	}
	var text string
	d.ScanArgs(t, "error", &text)
	return errors.New(text)
}

func parseParts(t *testing.T, input string) []Part[string] {
	var parts []Part[string]
	for line := range strings.Lines(input) {
		f := strings.Fields(line)
		p := Part[string]{Work: f[1], Priority: Normal}
		if f[0] == "shared" {
			p.Partition = Shared
		} else {
			_, err := fmt.Sscan(f[0], &p.Partition)
			require.NoError(t, err)
		}
		_, err := fmt.Sscan(f[2], &p.Items)
		require.NoError(t, err)
		for _, word := range f[3:] {
			keys, isKeys := strings.CutPrefix(word, "keys=")
			switch {
			case isKeys:
				for key := range strings.SplitSeq(keys, ",") {
					bit, err := strconv.Atoi(key)
					require.NoError(t, err)
					p.Keys |= 1 << bit
				}
			case word == "low":
				p.Priority = Low
			case word == "high":
				p.Priority = High
			default:
				_, err := fmt.Sscan(word, &p.Bytes)
				require.NoError(t, err)
			}
		}
		parts = append(parts, p)
	}
	return parts
}

// checkInvariants recounts what core keeps as figures.
func checkInvariants[W any](t require.TestingT, c *core[W]) {
	var queued, flight size
	var ready int64
	held := map[*client]size{}
	listed := 0
	for i := range c.partitions {
		part := &c.partitions[i]
		var items int64
		last, entries := uint64(0), 0
		for e := part.arrived.front; e != nil; e = e.links[inPartition].next {
			require.Greater(t, e.seq, last, "order of arrival")
			require.Same(t, e, part.queue[e.slot])
			require.False(t, e.slot > 0 && e.before(part.queue[(e.slot-1)/2]), "order of the queue")
			last = e.seq
			entries++
			items += int64(e.Items)
			queued = queued.plus(e.size())
			held[e.client] = held[e.client].plus(e.size())
		}
		require.Len(t, part.queue, entries)
		require.Equal(t, part.items, items)
		require.Equal(t, !part.claimed && entries > 0, part.slot >= 0, "a partition is ready when it has work and is not claimed")
		if !part.claimed {
			ready += items
		}
		if part.slot >= 0 {
			listed++
			require.Same(t, part, c.ready[part.slot])
			require.False(t, part.slot > 0 && part.before(c.ready[(part.slot-1)/2]), "order of partitions")
		}
	}
	require.Len(t, c.ready, listed)
	for b := range c.batches {
		for _, e := range b.Entries {
			flight = flight.plus(e.size())
			held[e.client] = held[e.client].plus(e.size())
		}
	}
	outside := map[*client]int{}
	var line size
	for _, w := range c.blocked {
		outside[w.client]++
		line = line.plus(w.size)
	}
	require.Equal(t, line, c.outside)
	for _, cl := range c.clients.known {
		require.Equal(t, outside[cl], cl.outside, "requests of a client that wait for space")
	}
	for cl, s := range held {
		require.Equal(t, s, cl.held, "what a client holds")
		require.True(t, cl == &c.clients.nobody || c.clients.known[cl.id] == cl, "who holds something is known")
	}
	require.Equal(t, len(c.clients.known), c.clients.bySeen.Len())
	for level := range c.age {
		var waiting size
		for e := c.age[level].front; e != nil; e = e.links[byPriority].next {
			waiting = waiting.plus(e.size())
		}
		require.Equal(t, c.waiting[level], waiting)
	}
	require.Equal(t, c.queued, queued)
	require.Equal(t, c.flight, flight)
	require.Equal(t, c.readyItems, ready)
	require.True(t, queued.plus(flight).within(c.limit), "bounds")
	require.True(t, c.overflow == Block || len(c.blocked) == 0, "who waits for space")
}

func TestParseOverflow(t *testing.T) {
	for _, o := range []Overflow{Refuse, Block, DropOldest, DropNewest, ByPriority} {
		got, err := ParseOverflow(o.String())
		require.NoError(t, err)
		require.Equal(t, o, got)
	}
	_, err := ParseOverflow("drop")
	require.EqualError(t, err, `"drop" is not one of refuse, block, drop_oldest, drop_newest, by_priority`)
}

func TestMisuse(t *testing.T) {
	c := newCore[string](Config{Partitions: 2, MaxItems: 10, MaxBytes: 10})
	for _, partition := range []int{-2, 2} {
		require.PanicsWithValue(t, fmt.Sprintf("ring: no partition %d, there are 2", partition), func() {
			_, _, _ = c.push(0, 0, []Part[string]{{Partition: partition, Items: 1}})
		})
	}
	_, _, err := c.push(0, 0, []Part[string]{{Items: 1}})
	require.NoError(t, err)
	b, _ := c.take(0, Want{Max: 1})
	c.release(0, b, nil)
	require.PanicsWithValue(t, "ring: a batch was released twice", func() { c.release(0, b, nil) })
	for _, fraction := range []float64{0, -1, 1.01, math.NaN()} {
		require.PanicsWithValue(t, fmt.Sprintf("ring: a bound of %v is not within (0, 1]", fraction), func() { c.setBound(0, fraction) })
	}
}

func TestCompletion(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("client went away")
	cancel(cause)

	c := newCompletion(2)
	require.ErrorIs(t, c.Wait(ctx), cause)
	c.part(nil)
	require.ErrorIs(t, c.Wait(ctx), cause)
	c.part(nil)
	require.NoError(t, c.Wait(ctx), "the answer wins over the end of ctx")
	c.part(cause)
	c.force(cause)
	require.NoError(t, c.Err(), "only the first answer counts")

	first := newCompletion(2)
	first.part(cause)
	require.ErrorIs(t, first.Err(), cause)
	first.force(errors.New("later"))
	require.ErrorIs(t, first.Wait(context.Background()), cause)

	require.NoError(t, newCompletion(0).Wait(ctx), "a request without parts has its answer")
}
