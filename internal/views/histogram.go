package views

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// Histogram counts durations in nanoseconds in buckets whose bounds are at
// most 1/16 apart, so that a quantile is off by 1/32 (3.1 %) at most, and
// exact below 32 ns. The zero value is empty.
type Histogram struct {
	first  int // the bucket of counts[0]
	counts []uint64
}

// Values below 2^(subBits+1) have a bucket of their own; above, each power of
// two has 2^subBits buckets.
const (
	subBits    = 4
	maxBuckets = (64-subBits-1)<<subBits + 2<<subBits
)

func bucketOf(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// middleOf returns what the values of a bucket are taken for.
func middleOf(bucket int) uint64 {
	shift := max(bucket>>subBits-1, 0)
	low := uint64(bucket-shift<<subBits) << shift
	return low + (uint64(1)<<shift-1)/2
}

// Add counts a value.
func (h *Histogram) Add(v uint64) {
	b := bucketOf(v)
	h.reach(b, b)
	h.counts[b-h.first]++
}

// reach makes room for the buckets from low to high.
func (h *Histogram) reach(low, high int) {
	if len(h.counts) == 0 {
		h.first, h.counts = low, make([]uint64, high-low+1)
		return
	}
	last := h.first + len(h.counts) - 1
	if h.first <= low && high <= last {
		return
	}
	first := min(low, h.first)
	counts := make([]uint64, max(high, last)-first+1)
	copy(counts[h.first-first:], h.counts)
	h.first, h.counts = first, counts
}

// Merge adds what another counted.
func (h *Histogram) Merge(from *Histogram) {
	if len(from.counts) == 0 {
		return
	}
	h.reach(from.first, from.first+len(from.counts)-1)
	for i, n := range from.counts {
		h.counts[from.first-h.first+i] += n
	}
}

// Count returns how many values there are.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h.counts {
		n += c
	}
	return n
}

// Quantile returns the value that a share q, 0 < q <= 1, of all values does not
// exceed; 0 if there are none.
func (h *Histogram) Quantile(q float64) uint64 {
	rank := uint64(math.Ceil(q * float64(h.Count())))
	seen := uint64(0)
	for i, c := range h.counts {
		if seen += c; c > 0 && seen >= rank {
			return middleOf(h.first + i)
		}
	}
	return 0
}

// MarshalJSON encodes the first bucket's number and the counts from there on.
func (h Histogram) MarshalJSON() ([]byte, error) {
	low, high := 0, len(h.counts)
	for low < high && h.counts[low] == 0 {
		low++
	}
	for low < high && h.counts[high-1] == 0 {
		high--
	}
	if low == high {
		return []byte("[]"), nil
	}
	return json.Marshal(append([]uint64{uint64(h.first + low)}, h.counts[low:high]...))
}

// UnmarshalJSON decodes what MarshalJSON made.
func (h *Histogram) UnmarshalJSON(b []byte) error {
	*h = Histogram{}
	var numbers []uint64
	if err := json.Unmarshal(b, &numbers); err != nil {
		return err
	}
	if len(numbers) == 0 {
		return nil
	}
	if numbers[0] >= maxBuckets || len(numbers)-1 > maxBuckets-int(numbers[0]) {
		return fmt.Errorf("a histogram has %d buckets from %d on, there are %d", len(numbers)-1, numbers[0], maxBuckets)
	}
	if len(numbers) == 1 || numbers[1] == 0 || numbers[len(numbers)-1] == 0 {
		return errors.New("a histogram begins or ends with an empty bucket")
	}
	h.first, h.counts = int(numbers[0]), numbers[1:]
	return nil
}
