package correlate

// maxWord is the longest correlation id, in bytes, that is handed down.
const maxWord = 1024

const wordPage = 4 << 10

// words keeps short strings for entries, without a pointer each: pages of
// bytes, written one after another. A page goes when the last entry that refers
// to it has left the ring. 0 is "".
type words struct {
	pages []*wordBytes
	first uint32 // number of the first page
	spare *wordBytes
}

type wordBytes struct {
	used  int
	last  number // the newest entry that refers to it
	bytes [wordPage]byte
}

// add keeps s and returns where it is. What is too long is not kept. An entry
// must refer to it before anything leaves the ring.
func (w *words) add(s string) uint32 {
	if s == "" || len(s) > maxWord {
		return 0
	}
	last := len(w.pages) - 1
	if last < 0 || w.pages[last].used+2+len(s) > wordPage {
		p := w.spare
		if w.spare = nil; p == nil {
			p = new(wordBytes)
		}
		p.used, p.last = 1, 0 // no word is at 0
		w.pages = append(w.pages, p)
		last++
	}
	p := w.pages[last]
	at := p.used
	p.bytes[at], p.bytes[at+1] = byte(len(s)), byte(len(s)>>8)
	copy(p.bytes[at+2:], s)
	p.used += 2 + len(s)
	return (w.first+uint32(last))*wordPage + uint32(at)
}

// refer notes that the entry n, which is in the ring, refers to a place.
func (w *words) refer(at uint32, n number) {
	if p := w.page(at); p.last == 0 || int32(n-p.last) > 0 {
		p.last = n
	}
}

func (w *words) page(at uint32) *wordBytes {
	const pages = 1 << 32 / wordPage // that a place can tell apart
	return w.pages[(at/wordPage-w.first)%pages]
}

// get returns the word at a place, in the page's memory: valid until the shard
// is unlocked, or something leaves its ring.
func (w *words) get(at uint32) []byte {
	if at == 0 {
		return nil
	}
	p, i := w.page(at), at%wordPage
	n := int(p.bytes[i]) | int(p.bytes[i+1])<<8
	return p.bytes[int(i)+2:][:n]
}

// trim lets pages go to which no entry from oldest on refers.
func (w *words) trim(oldest number) {
	for len(w.pages) > 1 && int32(w.pages[0].last-oldest) < 0 {
		w.spare = w.pages[0]
		w.pages = append(w.pages[:0], w.pages[1:]...)
		w.first++
	}
}

// size is what the pages take.
func (w *words) size() int64 { return int64(len(w.pages)) * wordPage }
