package cache

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newCache(t require.TestingT, maxBytes int) *Cache {
	c, err := New(maxBytes)
	require.NoError(t, err)
	return c
}

const plenty = 1 << 20

func (c *Cache) put(key, value string, on ...Dependency) { c.Begin().Put(key, []byte(value), on) }

func (c *Cache) get(key string) string {
	value, found := c.Get(key)
	if !found {
		return "nothing"
	}
	return string(value)
}

func TestAnswersStayUntilSomethingChanges(t *testing.T) {
	c := newCache(t, plenty)
	require.False(t, c.Used())
	c.Changed([]Dependency{1})
	require.Equal(t, "nothing", c.get("a"))
	c.put("a", "A", 1, 2, 2)
	c.put("b", "B", 2, 3)
	require.True(t, c.Used())
	c.Changed([]Dependency{4})
	require.Equal(t, "A", c.get("a"))
	c.Changed([]Dependency{1})
	require.Equal(t, "nothing", c.get("a"))
	require.Equal(t, "B", c.get("b"))
	c.put("b", "B2", 5)
	c.Changed([]Dependency{2, 3})
	require.Equal(t, "B2", c.get("b"))
	c.Clear()
	require.Equal(t, "nothing", c.get("b"))
	require.False(t, c.Used())
	require.Zero(t, c.bytes)
	require.Empty(t, c.by)
}

func TestWhatChangesWhileAnAnswerIsMade(t *testing.T) {
	for name, changes := range map[string]struct {
		between func(*Cache)
		kept    bool
	}{
		"nothing":            {func(*Cache) {}, true},
		"something else":     {func(c *Cache) { c.Changed([]Dependency{7, 8}) }, true},
		"what it depends on": {func(c *Cache) { c.Changed([]Dependency{7, 2}) }, false},
		"everything":         {func(c *Cache) { c.Clear() }, false},
		"very much":          {func(c *Cache) { c.Changed(make([]Dependency, maxChanges+1)) }, false},
		"much, bit by bit": {func(c *Cache) {
			for range maxChanges/100 + 1 {
				c.Changed(make([]Dependency, 100))
			}
		}, false},
		"as much as is remembered": {func(c *Cache) { c.Changed(make([]Dependency, maxChanges)) }, true},
		"doubt":                    {func(c *Cache) { c.Doubt() }, false},
		"settled doubt":            {func(c *Cache) { c.Doubt(); c.Settle(c.Doubts()) }, false},
	} {
		c := newCache(t, plenty)
		other := c.Begin() // is under way throughout
		fill := c.Begin()
		changes.between(c)
		fill.Put("a", []byte("A"), []Dependency{1, 2})
		if changes.kept {
			require.Equal(t, "A", c.get("a"), name)
		} else {
			require.Equal(t, "nothing", c.get("a"), name)
		}
		other.Drop()
		require.Empty(t, c.changes)
	}
}

func TestDoubt(t *testing.T) {
	c := newCache(t, plenty)
	c.put("a", "A", 1)
	c.Doubt()
	require.Equal(t, "nothing", c.get("a"))
	within := c.Begin()
	seen := c.Doubts()
	c.Doubt()
	c.Settle(seen)
	c.put("a", "A", 1)
	require.Equal(t, "nothing", c.get("a"), "the second doubt lasts")
	c.Settle(c.Doubts())
	within.Put("a", []byte("A"), []Dependency{1})
	require.Equal(t, "nothing", c.get("a"), "it was read while there was doubt")
	c.put("a", "A", 1)
	require.Equal(t, "A", c.get("a"))
	c.Settle(seen)
	require.Equal(t, "A", c.get("a"))
}

func TestBytesAreBounded(t *testing.T) {
	c := newCache(t, 10*1024)
	for i := range 100 {
		c.put(fmt.Sprint(i), string(make([]byte, 700)), Dependency(i), Dependency(i+1))
		require.LessOrEqual(t, c.bytes, c.maxBytes)
	}
	require.Equal(t, "nothing", c.get("0"))
	require.NotEqual(t, "nothing", c.get("99"))
	require.Len(t, c.by, c.answers.Len()+1)
	c.put("large", string(make([]byte, 3000)))
	require.Equal(t, "nothing", c.get("large"), "it would take more than a quarter")
	require.NotEqual(t, "nothing", c.get("99"))
	c.put("99", "small", 1)
	require.Equal(t, "small", c.get("99"))
}

func TestSmallAnswersAreBounded(t *testing.T) {
	c := newCache(t, 10*typicalBytes)
	for i := range 100 {
		c.put(fmt.Sprint(i), "", Dependency(i))
	}
	require.Equal(t, 11, c.answers.Len())
	require.Len(t, c.by, 11)
}

func TestNone(t *testing.T) {
	c := newCache(t, 0)
	require.Nil(t, c)
	c.put("a", "A", 1)
	c.Begin().Drop()
	c.Changed([]Dependency{1})
	c.Clear()
	c.Doubt()
	c.Settle(c.Doubts())
	require.False(t, c.Used())
	require.Equal(t, "nothing", c.get("a"))
}

func TestDependencies(t *testing.T) {
	a, b := causal.SpanRef{TraceID: [16]byte{1}}, causal.SpanRef{TraceID: [16]byte{1}, SpanID: [8]byte{1}}
	require.Equal(t, Span(a), Span(a))
	require.NotEqual(t, Span(a), Span(b))
	require.Equal(t, Trace(a.TraceID), Trace(b.TraceID))
	require.NotEqual(t, Trace(a.TraceID), Span(a))
}

// model is a store whose things have versions, with writers and readers whose
// steps may come in any order.
type model struct {
	cache    *Cache
	versions map[Dependency]int // what a read sees
	told     map[Dependency]int // what was acknowledged
	late     []Dependency       // in doubt, not happened yet
	writes   []Dependency       // happened, not told yet
	doubts   []uint64           // when those began
	reads    []*reading
}

// reading is an answer under way: it reads one thing after the other.
type reading struct {
	key  string
	on   []Dependency
	saw  map[Dependency]int
	fill Fill
}

func (m *model) write(d Dependency) {
	for _, l := range m.late { // the store has one queue
		m.versions[l]++
	}
	m.late = nil
	m.versions[d]++
}

func (m *model) begin(rt *rapid.T, thing *rapid.Generator[Dependency]) *reading {
	on := rapid.SliceOfNDistinct(thing, 1, 2, rapid.ID[Dependency]).Draw(rt, "on")
	r := &reading{key: fmt.Sprint(on), on: on, saw: map[Dependency]int{}, fill: m.cache.Begin()}
	m.reads = append(m.reads, r)
	return r
}

// step reads one thing more, or ends the reading.
func (m *model) step(rt *rapid.T, r *reading) (done bool) {
	if len(r.saw) < len(r.on) {
		next := r.on[len(r.saw)]
		r.saw[next] = m.versions[next]
		return false
	}
	m.reads = slices.DeleteFunc(m.reads, func(other *reading) bool { return other == r })
	if rapid.IntRange(0, 9).Draw(rt, "drop") == 0 {
		r.fill.Drop()
		return true
	}
	value, err := json.Marshal(r.saw)
	require.NoError(rt, err)
	r.fill.Put(r.key, value, r.on)
	return true
}

// TestNoAnswerIsOld: whatever the order of steps, an answer that is found has
// all that was acknowledged.
func TestNoAnswerIsOld(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := model{
			cache:    newCache(rt, rapid.SampledFrom([]int{3000, plenty}).Draw(rt, "bytes")),
			versions: map[Dependency]int{}, told: map[Dependency]int{},
		}
		thing := rapid.Map(rapid.IntRange(0, 2), func(i int) Dependency { return Dependency(i) })
		actions := map[string]func(*rapid.T){
			"write": func(rt *rapid.T) {
				d := thing.Draw(rt, "thing")
				m.doubts = append(m.doubts, m.cache.Doubts())
				m.write(d)
				m.writes = append(m.writes, d)
			},
			"acknowledge": func(rt *rapid.T) {
				if len(m.writes) == 0 {
					rt.Skip("nothing is written")
				}
				i := rapid.IntRange(0, len(m.writes)-1).Draw(rt, "write")
				d := m.writes[i]
				m.cache.Changed([]Dependency{d})
				m.cache.Settle(m.doubts[i])
				m.told[d] = m.versions[d]
				m.writes = append(m.writes[:i:i], m.writes[i+1:]...)
				m.doubts = append(m.doubts[:i:i], m.doubts[i+1:]...)
			},
			"fail": func(rt *rapid.T) {
				m.late = append(m.late, thing.Draw(rt, "thing"))
				m.cache.Doubt()
			},
			"happen": func(rt *rapid.T) {
				if len(m.late) == 0 {
					rt.Skip("nothing is in doubt")
				}
				m.versions[m.late[0]]++
				m.late = m.late[1:]
			},
			"drop": func(rt *rapid.T) {
				if rapid.IntRange(0, 3).Draw(rt, "really") == 0 {
					for d := range m.versions {
						m.versions[d]++
					}
					m.cache.Clear()
				}
			},
			"begin": func(rt *rapid.T) { m.begin(rt, thing) },
			"answer": func(rt *rapid.T) {
				for r := m.begin(rt, thing); !m.step(rt, r); {
				}
			},
			"step": func(rt *rapid.T) {
				if len(m.reads) == 0 {
					rt.Skip("nobody reads")
				}
				m.step(rt, rapid.SampledFrom(m.reads).Draw(rt, "reading"))
			},
			"finish": func(rt *rapid.T) {
				if len(m.reads) == 0 {
					rt.Skip("nobody reads")
				}
				for r := m.reads[0]; !m.step(rt, r); {
				}
			},
			"": func(rt *rapid.T) {
				require.LessOrEqual(rt, m.cache.bytes, m.cache.maxBytes)
				require.Equal(rt, len(m.reads), m.cache.fills)
				for _, key := range m.cache.answers.Keys() {
					value, found := m.cache.Get(key)
					require.True(rt, found)
					var saw map[Dependency]int
					require.NoError(rt, json.Unmarshal(value, &saw))
					for d, version := range saw {
						require.GreaterOrEqual(rt, version, m.told[d], "%s: %d", key, d)
						if len(m.writes) == 0 {
							require.Equal(rt, m.versions[d], version, "a fresh answer to %s would be another", key)
						}
					}
				}
			},
		}
		for range 5 { // Repeat takes some 30 steps
			rt.Repeat(actions)
		}
	})
}

// TestManyAtOnce is for the race detector.
func TestManyAtOnce(t *testing.T) {
	c := newCache(t, 20_000)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 500 {
				key := fmt.Sprint(i % 7)
				if _, found := c.Get(key); !found {
					c.put(key, "value", Dependency(i%7))
				}
				if i%5 == worker {
					c.Changed([]Dependency{Dependency(i % 3)})
				}
				if i%100 == worker {
					c.Doubt()
					c.Settle(c.Doubts())
				}
			}
		})
	}
	all.Wait()
	require.Zero(t, c.fills)
}
