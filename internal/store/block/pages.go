package block

import (
	"github.com/elastic/go-freelru"

	"github.com/otelscope/otelscope/internal/store/block/table"
)

// pageCache keeps the pages that were read last for single rows, decoded: what
// belongs together lies in few pages, and a search comes back to them. Its
// methods may be called from many goroutines.
type pageCache struct {
	pages *freelru.SyncedLRU[pageKey, table.Plain]
}

// pageKey is a block, by its number, which no other ever has, and a page of it;
// it has no more pages than rows.
type pageKey uint64

// Bounds of the cache: 8 MiB of ordinary pages, 16 of the largest that it
// keeps.
const (
	cachedPages   = 1024
	mostPageBytes = 16 << 10
)

func newPageCache() *pageCache {
	pages, err := freelru.NewSynced[pageKey, table.Plain](cachedPages, pageKey.hash)
	if err != nil {
		panic(err) // for no capacity or no hash alone
	}
	return &pageCache{pages}
}

func (k pageKey) hash() uint32 { return uint32(uint64(k) * 0x9e3779b97f4a7c15 >> 32) }

func keyOf(block uint64, page int) pageKey { return pageKey(block<<rowBits | uint64(page)) }

// get returns a page whose values must not be written to.
func (c *pageCache) get(block uint64, page int) (table.Plain, bool) {
	return c.pages.Get(keyOf(block, page))
}

// put keeps a page, whose values of that many bytes are never written to again.
func (c *pageCache) put(block uint64, page int, p table.Plain, bytes int) {
	if bytes <= mostPageBytes {
		c.pages.Add(keyOf(block, page), p)
	}
}
