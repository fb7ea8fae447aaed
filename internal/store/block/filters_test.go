package block

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/parquet-go/parquet-go/bloom"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func filterWith(size int, keys []uint64) bloom.SplitBlockFilter {
	f := make(bloom.SplitBlockFilter, size)
	for _, k := range keys {
		f.Insert(k)
	}
	return f
}

func randomKeys(r *rand.Rand, n int) (keys []uint64) {
	for range n {
		keys = append(keys, r.Uint64())
	}
	return keys
}

// TestFiltersSideBySide: of a filter that came in the size of its group nothing
// is lost and nothing added; of another nothing is lost.
func TestFiltersSideBySide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		sizes := rapid.SampledFrom([]int{1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 17})
		type one struct {
			keys  []uint64
			alone bloom.SplitBlockFilter
		}
		var all filters
		open := map[slot]one{}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				size := sizes.Draw(t, "size")
				keys := randomKeys(r, 20*size)
				f := filterWith(size, keys)
				at := all.add(f)
				require.NotContains(t, open, at)
				open[at] = one{keys, f}
			},
			"add many": func(*rapid.T) {
				for range 12 {
					keys := randomKeys(r, 5)
					f := filterWith(2, keys)
					open[all.add(f)] = one{keys, f}
				}
			},
			"drop": func(t *rapid.T) {
				if len(open) == 0 {
					t.Skip()
				}
				at := rapid.SampledFrom(slices.Sorted(maps.Keys(open))).Draw(t, "slot")
				all.drop(at)
				delete(open, at)
			},
			"": func(t *rapid.T) {
				asked := randomKeys(r, 3)
				for _, o := range open {
					if asked = append(asked, o.keys[r.IntN(len(o.keys))]); len(asked) == 8 {
						break
					}
				}
				found := all.which(asked)
				for at, may := range found {
					o, there := open[slot(at)]
					if !there {
						require.Empty(t, may)
						continue
					}
					for i, key := range asked {
						is, alone := slices.Contains(may, int32(i)), o.alone.Check(key)
						sameSize := filterSize(len(o.alone)) == len(o.alone)
						if is != all.has(slot(at), key) || alone && !is || sameSize && alone != is {
							t.Fatalf("key %d in filter %d of %d blocks: %v, alone %v", i, at, len(o.alone), is, alone)
						}
					}
				}
				for at := range open {
					require.Less(t, int(at), len(found))
				}
			},
		})
	})
}

func TestFilterSize(t *testing.T) {
	for n := 1; n < 10_000; n++ {
		size := filterSize(n)
		require.Equal(t, size, filterSize(size), n)
		require.InDelta(t, 1, float64(size)/float64(n), 0.25, n)
	}
}

// TestFiltersGiveMemoryBack when none of a group is left, and their numbers.
func TestFiltersGiveMemoryBack(t *testing.T) {
	var all filters
	first, second := all.add(make(bloom.SplitBlockFilter, 4)), all.add(make(bloom.SplitBlockFilter, 64))
	all.drop(first)
	require.Nil(t, all.groups[first/mostInGroup])
	require.Equal(t, first, all.add(make(bloom.SplitBlockFilter, 16)))
	all.drop(second)
	require.Nil(t, all.groups[second/mostInGroup])
	require.Equal(t, first+1, all.add(make(bloom.SplitBlockFilter, 16)), "beside the other of its size")
}

// TestFiltersWhileOthersChange asks for what is there all the time.
func TestFiltersWhileOthersChange(t *testing.T) {
	var all filters
	r := rand.New(rand.NewPCG(1, 2))
	keys := randomKeys(r, 1000)
	lasting := all.add(filterWith(96, keys))
	var others, asking sync.WaitGroup
	stop := make(chan struct{})
	others.Go(func() {
		for {
			var slots []slot
			for range 70 {
				slots = append(slots, all.add(filterWith(96, keys[:10])))
			}
			for _, s := range slots {
				all.drop(s)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for range 2 {
		asking.Go(func() {
			for range 50 {
				if len(all.which(keys)[lasting]) != len(keys) || !all.has(lasting, keys[0]) {
					t.Error("a key is lost")
				}
			}
		})
	}
	asking.Wait()
	close(stop)
	others.Wait()
}
