package loadgen

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram counts durations in buckets at most 1/32 wide of their value, so
// that a quantile is at most 3 % too high and never too low. It may be used
// from many goroutines. The zero value is empty.
type Histogram struct{ buckets [bucketCount]atomic.Uint64 }

const (
	subBits     = 5
	bucketCount = (64 - subBits) << subBits
)

// Counts is what a Histogram held at one moment.
type Counts [bucketCount]uint64

func bucket(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < 1<<subBits {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return shift<<subBits + int(v>>shift)
}

// upper is the largest duration that falls into bucket i.
func upper(i int) time.Duration {
	if i < 1<<subBits {
		return time.Duration(i)
	}
	shift := i>>subBits - 1
	return time.Duration(uint64(i-shift<<subBits+1)<<shift - 1)
}

// Observe counts d; a negative one as 0.
func (h *Histogram) Observe(d time.Duration) { h.buckets[bucket(d)].Add(1) }

// Counts reads the histogram.
func (h *Histogram) Counts() *Counts {
	var c Counts
	for i := range h.buckets {
		c[i] = h.buckets[i].Load()
	}
	return &c
}

// Since returns what c counted and before did not.
func (c *Counts) Since(before *Counts) *Counts {
	diff := *c
	for i := range diff {
		diff[i] -= before[i]
	}
	return &diff
}

// Total is how many durations were counted.
func (c *Counts) Total() (n uint64) {
	for _, b := range c {
		n += b
	}
	return n
}

// Quantile returns a duration that a share q (0 to 1) of those counted does
// not exceed; q = 1 is the longest. Of none it is 0.
func (c *Counts) Quantile(q float64) time.Duration {
	total := c.Total()
	if total == 0 {
		return 0
	}
	rank := max(1, min(total, uint64(q*float64(total)+0.999999)))
	var n uint64
	for i, b := range c {
		n += b
		if n >= rank {
			return upper(i)
		}
	}
	return 0
}
