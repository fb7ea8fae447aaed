package tail

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// ID names a committed span: its commit's time, nanoseconds since the epoch,
// and its place in the commit, from 0. Ids rise in the order of commits, also
// from one start to the next. The zero ID names none.
type ID struct {
	Received int64
	Index    uint32
}

// String is <received>-<index>, "" for none.
func (id ID) String() string {
	if id == (ID{}) {
		return ""
	}
	return strconv.FormatInt(id.Received, 10) + "-" + strconv.FormatUint(uint64(id.Index), 10)
}

// ParseID reads what String of an ID that names a span wrote.
func ParseID(text string) (ID, error) {
	received, index, _ := strings.Cut(text, "-")
	r, _ := strconv.ParseInt(received, 10, 64)
	i, _ := strconv.ParseUint(index, 10, 32)
	id := ID{r, uint32(i)}
	if r <= 0 || id.String() != text {
		return ID{}, fmt.Errorf("%q is no id of an event: must be <nanoseconds>-<number>, as 1700000000000000000-0", text)
	}
	return id, nil
}

func (id ID) compare(other ID) int {
	return cmp.Or(cmp.Compare(id.Received, other.Received), cmp.Compare(id.Index, other.Index))
}
