package sample

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/otlpwire"
)

// encode makes a TracesData of one resource with these spans.
func encode(resource string, spans ...string) []byte {
	var inner []byte
	for _, s := range spans {
		inner = protowire.AppendBytes(protowire.AppendTag(inner, 2, protowire.BytesType), []byte(s))
	}
	rs := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte(resource))
	rs = protowire.AppendBytes(protowire.AppendTag(rs, 2, protowire.BytesType), inner)
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), rs)
}

// found returns what is held of a chain, as resource:span, sorted.
func found(t require.TestingT, r *Rescue, chain uint64) []string {
	data, n, err := r.Find(nil, chain)
	require.NoError(t, err)
	all := []string{}
	require.NoError(t, otlpwire.Walk(data, func(o otlpwire.Origin, span []byte) error {
		all = append(all, string(o.Resource)+":"+string(span))
		return nil
	}))
	require.Len(t, all, n)
	slices.Sort(all)
	return all
}

var begin = time.Unix(1_800_000_000, 0)

func TestWhatIsHeldIsFoundByChain(t *testing.T) {
	r := NewRescue(RescueConfig{MaxBytes: 1 << 20, Window: time.Minute})
	require.NoError(t, r.Hold(begin, append(encode("a", "1", "2"), encode("b", "3")...), []uint64{7, 8, 7}))
	require.NoError(t, r.Hold(begin, encode("c", "4"), []uint64{7}))
	require.Equal(t, []string{"a:1", "b:3", "c:4"}, found(t, r, 7))
	require.Equal(t, []string{"a:2"}, found(t, r, 8))
	require.Empty(t, found(t, r, 9))

	r.Forget(7)
	r.Forget(7)
	require.Empty(t, found(t, r, 7))
	require.NoError(t, r.Hold(begin, encode("d", "5"), []uint64{7}))
	require.Equal(t, []string{"d:5"}, found(t, r, 7), "what was handed on does not come back")
}

func TestWhatIsMalformedIsNotHeld(t *testing.T) {
	r := NewRescue(RescueConfig{MaxBytes: 1 << 20, Window: time.Minute})
	require.ErrorIs(t, r.Hold(begin, []byte{0x0a, 0xff}, nil), otlpwire.ErrMalformed)
	require.NoError(t, r.Hold(begin, nil, nil))
	require.Equal(t, RescueFigures{Max: 1 << 20, Room: 1 << 20, Share: 1}, r.Figures(begin))
}

func TestTheWindowEnds(t *testing.T) {
	r := NewRescue(RescueConfig{MaxBytes: 1 << 20, Window: 10 * time.Second})
	require.NoError(t, r.Hold(begin, encode("a", "1"), []uint64{7}))
	require.NoError(t, r.Hold(begin.Add(6*time.Second), encode("a", "2"), []uint64{7}))
	r.Adapt(begin.Add(10*time.Second), 1)
	require.Len(t, found(t, r, 7), 2)
	require.InDelta(t, 10, r.Figures(begin.Add(10*time.Second)).Seconds, 1e-9)
	r.Adapt(begin.Add(11*time.Second), 1)
	require.Equal(t, []string{"a:2"}, found(t, r, 7))
	r.Adapt(begin.Add(time.Hour), 1)
	f := r.Figures(begin.Add(time.Hour))
	require.Equal(t, RescueFigures{Max: 1 << 20, Room: 1 << 20, Share: 1}, f, "nothing is left behind")
	require.Empty(t, r.last)
}

func TestMemoryIsGivenBackWhereItIsShort(t *testing.T) {
	r := NewRescue(RescueConfig{MaxBytes: 4000, Window: time.Minute})
	for i := range uint64(20) {
		require.NoError(t, r.Hold(begin, encode("a", "span"), []uint64{i}))
	}
	held := r.Figures(begin).Bytes
	r.Adapt(begin, 0.25)
	f := r.Figures(begin)
	require.EqualValues(t, 1000, f.Room)
	require.LessOrEqual(t, f.Memory, int64(1000))
	require.Greater(t, held, f.Bytes)
	require.Less(t, f.Share, 1.0)
	require.Empty(t, found(t, r, 0))
	require.Len(t, found(t, r, 19), 1)
}

// TestTheShareFollowsWhatFits offers a thousand chains a second, whose spans
// all have one kilobyte, to a rescue with room for a tenth of the window.
func TestTheShareFollowsWhatFits(t *testing.T) {
	r := NewRescue(RescueConfig{MaxBytes: 1 << 20, Window: 10 * time.Second})
	kilobyte := string(make([]byte, 1024))
	threshold := at(0.9)
	now := begin
	second := func() (wanted int) {
		for i := range 1000 {
			chain := threshold / 1000 * uint64(i)
			if r.Wants(chain, threshold) {
				wanted++
				require.NoError(t, r.Hold(now, encode("a", kilobyte), []uint64{chain}))
			}
		}
		now = now.Add(time.Second)
		r.Adapt(now, 1)
		return wanted
	}
	require.Equal(t, 1000, second(), "at first everything is held")
	for range 60 {
		second()
	}
	f := r.Figures(now)
	t.Logf("share %.3f, %.1f s, %d bytes", f.Share, f.Seconds, f.Bytes)
	require.Greater(t, f.Share, 0.03) // 0.1 would fill it
	require.Less(t, f.Share, 0.13)
	require.Greater(t, f.Seconds, 7.0)
	require.LessOrEqual(t, f.Memory, int64(1<<20))
	require.Positive(t, f.Evicted)

	require.True(t, r.Wants(threshold-1, threshold), "nearest to the threshold")
	require.False(t, r.Wants(0, threshold))
	for range 100 {
		now = now.Add(time.Second)
		r.Adapt(now, 1)
	}
	require.InDelta(t, 1, r.Share(), 0, "it grows back")
}

// circle is a file in memory.
type circle struct {
	data []byte
	err  error
}

func (c *circle) ReadAt(p []byte, at int64) (int, error) { return copy(p, c.data[at:]), c.err }

func (c *circle) WriteAt(p []byte, at int64) (int, error) {
	if need := int(at) + len(p); need > len(c.data) {
		c.data = append(c.data, make([]byte, need-len(c.data))...)
	}
	return copy(c.data[at:], p), c.err
}

func TestAFileThatFails(t *testing.T) {
	file := new(circle)
	r := NewRescue(RescueConfig{MaxBytes: 1 << 20, Window: time.Minute, File: file})
	require.NoError(t, r.Hold(begin, encode("a", "1"), []uint64{7}))
	require.Equal(t, []string{"a:1"}, found(t, r, 7))
	file.err = errors.New("no space left")
	_, _, err := r.Find(nil, 7)
	require.ErrorIs(t, err, file.err)
	require.ErrorIs(t, r.Hold(begin, encode("a", "2"), []uint64{8}), file.err)
	require.ErrorContains(t, r.Hold(begin, encode("a", string(make([]byte, 2<<20))), []uint64{8}), "more than all of the rescue")
	file.err = nil
	require.Equal(t, []string{"a:1"}, found(t, r, 7))
	require.Empty(t, found(t, r, 8))
}

// TestRescueModel compares with a list, in memory and with a file.
func TestRescueModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var file File
		if rapid.Bool().Draw(t, "file") {
			file = new(circle)
		}
		type item struct {
			blob  int
			chain uint64
			text  string
		}
		maxBytes := rapid.Int64Range(200, 3000).Draw(t, "max bytes")
		r := NewRescue(RescueConfig{MaxBytes: maxBytes, Window: 10 * time.Second, File: file})
		var model []item
		ages := map[int]time.Time{}
		now, blob, spans := begin, 0, 0
		t.Repeat(map[string]func(*rapid.T){
			"hold": func(t *rapid.T) {
				var texts []string
				chains := rapid.SliceOfN(rapid.Uint64Range(1, 5), 1, 5).Draw(t, "chains")
				for _, c := range chains {
					spans++
					text := fmt.Sprint("span ", spans)
					texts = append(texts, text)
					model = append(model, item{blob, c, "r:" + text})
				}
				ages[blob] = now
				blob++
				require.NoError(t, r.Hold(now, encode("r", texts...), chains))
				oldest := blob - len(r.blobs)
				model = slices.DeleteFunc(model, func(i item) bool { return i.blob < oldest })
			},
			"forget": func(t *rapid.T) {
				c := rapid.Uint64Range(1, 5).Draw(t, "chain")
				r.Forget(c)
				model = slices.DeleteFunc(model, func(i item) bool { return i.chain == c })
			},
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 6).Draw(t, "seconds")) * time.Second)
				r.Adapt(now, 1)
				model = slices.DeleteFunc(model, func(i item) bool { return now.Sub(ages[i.blob]) > 10*time.Second })
			},
			"": func(t *rapid.T) {
				bytes, memory := int64(0), int64(len(r.last))*chainBytes
				for i, b := range r.blobs {
					bytes += b.size
					memory += b.memory()
					for _, other := range r.blobs[:i] {
						require.True(t, file == nil || b.at+b.size <= other.at || other.at+other.size <= b.at, "one lies over another")
					}
				}
				require.Equal(t, bytes, r.bytes)
				require.Equal(t, memory, r.memory)
				require.LessOrEqual(t, r.bytes, maxBytes)
				require.LessOrEqual(t, r.memory, r.room)
				for chain := range uint64(7) {
					want := []string{}
					for _, i := range model {
						if i.chain == chain {
							want = append(want, i.text)
						}
					}
					slices.Sort(want)
					require.Equal(t, want, found(t, r, chain))
				}
			},
		})
	})
}
