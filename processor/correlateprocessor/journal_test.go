package correlateprocessor

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/correlate"
	"github.com/otelscope/otelscope/processor/correlateprocessor/internal/metadata"
)

// ref is the span n.
func ref(n uint64) (r causal.SpanRef) {
	r.TraceID[0], r.SpanID[0] = 1, 1
	binary.BigEndian.PutUint64(r.SpanID[:], n)
	return r
}

func testCounts(t *testing.T) (*counts, *componenttest.Telemetry) {
	telemetry := componenttest.NewTelemetry()
	metrics, err := metadata.NewTelemetryBuilder(telemetry.NewTelemetrySettings())
	require.NoError(t, err)
	return &counts{metrics: metrics}, telemetry
}

// journalled is a journal, its storage and its log.
type journalled struct {
	t       *testing.T
	memory  *memory
	client  *memoryClient
	journal *journal
	logs    *observer.ObservedLogs
	cfg     *Config
	counts  *counts
	metrics *componenttest.Telemetry
	began   time.Time
}

func newJournalled(t *testing.T) *journalled {
	j := &journalled{t: t, memory: newMemory(), cfg: createDefaultConfig().(*Config), began: time.Now()}
	j.counts, j.metrics = testCounts(t)
	return j
}

// restart makes a journal over what is stored and returns what it restored.
func (j *journalled) restart(rules ...string) (restored, []string) {
	core, logs := observer.New(zap.WarnLevel)
	j.logs = logs
	j.client = &memoryClient{memory: j.memory}
	j.journal = newJournal(j.client, rules, j.cfg, zap.New(core), j.counts)
	var seen []string
	found, err := j.journal.restore(j.t.Context(), func(batch []correlate.Observation, at int64) {
		for _, o := range batch {
			line := fmt.Sprintf("at %s span %d:", time.Unix(0, at).Sub(j.began), binary.BigEndian.Uint64(o.Span.SpanID[:]))
			for _, op := range o.Ops {
				line += " " + rules[op.Rule]
			}
			seen = append(seen, line)
		}
	})
	require.NoError(j.t, err)
	j.journal.start()
	return found, seen
}

// add adds a batch of one observation, with an op for each rule.
func (j *journalled) add(span uint64, correlation string, rules ...int) {
	o := correlate.Observation{Span: ref(span), Correlation: correlation}
	for _, r := range rules {
		o.Ops = append(o.Ops, correlate.Op{Kind: correlate.Offer, Rule: uint16(r), Keys: [3]uint64{span}})
	}
	now := time.Now().UnixNano()
	j.journal.add(correlate.AppendBatch(nil, []correlate.Observation{o}, now), len(rules), now)
}

// kill ends the journal as the end of its process does.
func (j *journalled) kill() {
	j.memory.set(func() { j.client.dead = true })
	require.NoError(j.t, j.journal.stop(j.t.Context()))
	j.journal = nil
}

// contents says what is stored.
func (j *journalled) contents() string {
	var out strings.Builder
	values := j.memory.contents()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if key == indexKey {
			x, err := decodeIndex(values[key])
			fmt.Fprintf(&out, "index %v", x)
			if err != nil {
				fmt.Fprintf(&out, ": %s", err)
			}
			out.WriteByte('\n')
			continue
		}
		c, rules, err := decodeChunk(values[key])
		if err != nil {
			fmt.Fprintf(&out, "%s: %s\n", key, err)
			continue
		}
		fmt.Fprintf(&out, "%s at %s ops %d rules %s\n", key, time.Unix(0, c.newest).Sub(j.began), c.ops, strings.Join(rules, " "))
	}
	return out.String()
}

func TestJournalTranscript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournalled(t)
		datadriven.RunTest(t, "testdata/journal", func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "start":
				if d.HasArg("window") {
					var window string
					var err error
					d.ScanArgs(t, "max_entries", &j.cfg.MaxEntries)
					d.ScanArgs(t, "window", &window)
					j.cfg.Window, err = time.ParseDuration(window)
					require.NoError(t, err)
				}
				found, seen := j.restart(strings.Fields(d.Input)...)
				return fmt.Sprintf("chunks %d, damaged %d, observations %d\n%s", found.chunks, found.damaged, found.observations, lines(seen))
			case "add":
				var span, rule int
				d.ScanArgs(t, "span", &span)
				var rules []int
				for _, arg := range d.CmdArgs[1:] {
					_, err := fmt.Sscan(arg.Key, &rule)
					require.NoError(t, err)
					rules = append(rules, rule)
				}
				j.add(uint64(span), "", rules...)
				return ""
			case "wait":
				pause, err := time.ParseDuration(d.CmdArgs[0].Key)
				require.NoError(t, err)
				time.Sleep(pause)
				synctest.Wait()
				return j.contents() + j.logged()
			case "storage":
				refuse := d.CmdArgs[0].Key == "refuses"
				j.memory.set(func() { j.memory.refuse = refuse })
				return ""
			case "kill":
				j.kill()
				return j.contents()
			case "stop":
				err := j.journal.stop(t.Context())
				if err != nil {
					return err.Error()
				}
				return j.contents() + j.logged()
			case "damage":
				key := d.CmdArgs[0].Key
				j.memory.set(func() {
					if strings.TrimSpace(d.Input) == "gone" {
						delete(j.memory.values, key)
						return
					}
					v := j.memory.values[key]
					switch strings.TrimSpace(d.Input) {
					case "version":
						v[3]++
					case "bit":
						v[len(v)-1] ^= 1
					case "short":
						j.memory.values[key] = v[:5]
					default:
						d.Fatalf(t, "damage: %q", d.Input)
					}
				})
				return ""
			}
			d.Fatalf(t, "unknown command")
			return ""
		})
	})
}

func (j *journalled) logged() string {
	var out []string
	for _, entry := range j.logs.TakeAll() {
		out = append(out, entry.Level.String()+" "+entry.Message)
	}
	return lines(out)
}

func lines(of []string) string {
	if len(of) == 0 {
		return ""
	}
	return strings.Join(of, "\n") + "\n"
}

func TestJournalWritesFullChunksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournalled(t)
		j.restart("a")
		synctest.Wait()
		j.add(1, strings.Repeat("x", chunkBytes))
		synctest.Wait() // and no time passes
		require.Contains(t, j.contents(), "j/0000000000000000 at 0s ops 0")
		require.Equal(t, int64(len(j.memory.contents()[chunkKey(0)])), j.journal.bytes.Load())
		require.NoError(t, j.journal.stop(t.Context()))
		require.EqualValues(t, 1, sum(t, j.metrics, "otelcol_scope_correlate_journal_flushes"), "nothing was left to write")
		require.Equal(t, -1, j.memory.open)
	})
}

func TestJournalIsBoundedWhenTheStorageIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournalled(t)
		j.restart("a")
		j.memory.refuse = true
		for i := range 40 {
			j.add(uint64(i), strings.Repeat("x", chunkBytes))
			time.Sleep(flushInterval)
			size := 0
			j.journal.mu.Lock()
			for _, c := range j.journal.waiting {
				size += len(c.batches)
			}
			j.journal.mu.Unlock()
			require.LessOrEqual(t, size, waitingBytes)
		}
		j.memory.set(func() { j.memory.refuse = false })
		time.Sleep(retryPause)
		synctest.Wait()
		require.EqualValues(t, 25, sum(t, j.metrics, "otelcol_scope_correlate_journal_dropped_chunks"))
		require.Positive(t, sum(t, j.metrics, "otelcol_scope_correlate_journal_errors"))
		require.LessOrEqual(t, sum(t, j.metrics, "otelcol_scope_correlate_journal_errors"), int64(5), "a try each second, however much comes")
		require.Len(t, j.logs.FilterMessageSnippet("too slowly").All(), 1)
		require.Len(t, j.logs.FilterMessageSnippet("does not take the journal").All(), 1)
		require.NoError(t, j.journal.stop(t.Context()))

		found, seen := j.restart("a")
		require.Equal(t, restored{chunks: 15, observations: 15}, found)
		require.Contains(t, seen[0], "span 25:", "the oldest were dropped")
		require.Contains(t, seen[14], "span 39:")
		require.NoError(t, j.journal.stop(t.Context()))
	})
}

func TestJournalOfAClockThatWasSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournalled(t)
		j.restart("a")
		o := []correlate.Observation{{Span: ref(1)}}
		later := time.Now().Add(time.Hour).UnixNano()
		j.journal.add(correlate.AppendBatch(nil, o, later), 1, later)
		require.NoError(t, j.journal.stop(t.Context()))

		_, seen := j.restart("a")
		require.Equal(t, []string{"at 0s span 1:"}, seen)
		time.Sleep(j.cfg.Window + 2*flushInterval)
		synctest.Wait()
		require.Equal(t, "index {1 1}\n", j.contents(), "and it is deleted in its time")
		require.NoError(t, j.journal.stop(t.Context()))
	})
}

func TestJournalStorageFails(t *testing.T) {
	j := newJournalled(t)
	j.restart("a")
	j.add(1, "", 0)
	j.memory.set(func() { j.memory.refuse = true })
	require.ErrorIs(t, j.journal.stop(t.Context()), errRefused)
	_, err := newJournal(j.client, nil, j.cfg, zap.NewNop(), j.counts).restore(t.Context(), nil)
	require.ErrorIs(t, err, errRefused)
}

func TestInteresting(t *testing.T) {
	require.False(t, interesting(&correlate.Observation{Span: ref(1), Root: true, Start: 1, Clock: 1, Randomness: 1}))
	require.False(t, interesting(&correlate.Observation{Links: make([]causal.SpanRef, 1)}))
	for _, o := range []correlate.Observation{
		{Ops: make([]correlate.Op, 1)}, {Process: 1}, {Correlation: "g"}, {Root: true, Links: make([]causal.SpanRef, 1)},
	} {
		require.True(t, interesting(&o))
	}
}

func FuzzChunk(f *testing.F) {
	batch := correlate.AppendBatch(nil, []correlate.Observation{{Span: ref(1), Ops: []correlate.Op{{Kind: correlate.Claim, Rule: 1, Keys: [3]uint64{1}}}}}, 7)
	good := (&chunk{batches: batch, newest: 7, ops: 1}).encode([]string{"a", "b"})
	f.Add(good[headBytes:], true)
	f.Add(good, false)
	f.Add(index{1, 2}.encode(), false)
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		if sealed { // get past the checksum
			b = seal(append(make([]byte, headBytes), b...), chunkMagic)
		}
		_, _ = decodeIndex(b)
		c, rules, err := decodeChunk(b)
		if err != nil {
			return
		}
		require.GreaterOrEqual(t, c.ops, 0)
		_ = c.each(rules, []string{"b", "c"}, func(batch []correlate.Observation, _ int64) {
			for i := range batch {
				for _, op := range batch[i].Ops {
					require.Zero(t, op.Rule, "only rule b is known")
				}
			}
		})
		again, names, err := decodeChunk(c.encode(rules))
		require.NoError(t, err)
		require.Equal(t, rules, names)
		require.Equal(t, c.newest, again.newest)
		require.Equal(t, len(c.batches), len(again.batches))
	})
}

func TestChunkRefused(t *testing.T) {
	sealed := func(after ...byte) []byte {
		return seal(append(make([]byte, headBytes+8), after...), chunkMagic)
	}
	for _, c := range []struct {
		want string
		b    []byte
	}{
		{"it has 0 bytes, its head alone has 8", nil},
		{`it is of the kind or version "sci\x01", only "scj\x01" is known`, index{}.encode()},
		{"it ends too early", sealed()},
		{"it ends too early", sealed(0, 0, 0, 0, 0, 0, 0, 0)},
		{"it ends too early", sealed(0, 0, 0, 0, 0, 0, 0, 0, 2, 1)},
		{"it ends too early", sealed(0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 'a', 'b')},
		{"it has -1 ops", sealed(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0)},
	} {
		_, _, err := decodeChunk(c.b)
		require.EqualError(t, err, c.want)
	}
	c := chunk{batches: []byte("nonsense")}
	require.ErrorContains(t, c.each(nil, nil, nil), "cannot be read")
}

func TestIndexRefused(t *testing.T) {
	for want, b := range map[string][]byte{
		"it has 3 bytes, its head alone has 8":                            []byte("abc"),
		`it is of the kind or version "scj\x01", only "sci\x01" is known`: (&chunk{}).encode(nil),
		"its checksum is wrong":                                           append(index{}.encode(), 0),
		"it holds 1 bytes, not 16":                                        seal(make([]byte, headBytes+1), indexMagic),
		"its first chunk is 2, its next 1":                                index{2, 1}.encode(),
	} {
		_, err := decodeIndex(b)
		require.EqualError(t, err, want)
	}
}
