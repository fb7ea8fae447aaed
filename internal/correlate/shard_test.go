package correlate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A shard that is looked into more often than it grows keeps its share.
func TestNoShardIsEmptiedForTheOthers(t *testing.T) {
	const perShard = 100
	e := New(Config{Rules: []Rule{{Name: "id"}}, Window: time.Hour, MaxEntries: shards * perShard, MaxBytes: 1 << 30, MinConfidence: 0.5, MaxLate: 1})
	for i := range uint64(10 * shards * perShard) {
		hash := i * 0xd1342543de82ef95
		s := e.lock(hash, 1)
		s.insert(hash, entry{kind: kindOffer})
		s.mu.Unlock()
		for range 5 {
			e.lock(0, 1).mu.Unlock()
		}
	}
	for i, s := range e.shards {
		require.Greater(t, s.ring.len(), perShard/2, "shard %d", i)
	}
	require.LessOrEqual(t, e.entries.Load(), int64(shards*(perShard+1)))
}
