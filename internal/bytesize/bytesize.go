// Package bytesize is a number of bytes as it is written in configuration:
// 134217728, 128MiB, 50GiB, 1.5 GB.
package bytesize

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ByteSize is a number of bytes, never negative when it comes from Parse.
type ByteSize int64

// Powers of 1024.
const (
	KiB ByteSize = 1 << 10
	MiB ByteSize = 1 << 20
	GiB ByteSize = 1 << 30
	TiB ByteSize = 1 << 40
)

// units are in the order in which String prefers them.
var units = []struct {
	name string
	size ByteSize
}{
	{"TiB", TiB},
	{"GiB", GiB},
	{"MiB", MiB},
	{"KiB", KiB},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"B", 1},
}

// Parse reads a number with an optional unit: B, kB, MB, GB, TB (powers of
// 1000) or KiB, MiB, GiB, TiB (powers of 1024), upper or lower case.
func Parse(s string) (ByteSize, error) {
	text := strings.TrimSpace(s)
	end := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	unit := "B"
	if end >= 0 {
		unit = strings.TrimSpace(text[end:])
		text = text[:end]
	}
	size, ok := unitSize(unit)
	if !ok {
		return 0, invalid(s)
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n > math.MaxInt64/int64(size) {
			return 0, fmt.Errorf("size %q is larger than 8 EiB", s)
		}
		return ByteSize(n) * size, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || size == 1 {
		return 0, invalid(s)
	}
	f *= float64(size)
	if f >= math.MaxInt64 {
		return 0, fmt.Errorf("size %q is larger than 8 EiB", s)
	}
	return ByteSize(f), nil
}

func unitSize(name string) (ByteSize, bool) {
	for _, u := range units {
		if strings.EqualFold(name, u.name) {
			return u.size, true
		}
	}
	return 0, false
}

func invalid(s string) error {
	return fmt.Errorf("%q is no size: allowed are a number of bytes, or a number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 128MiB", s)
}

// String writes b in the largest unit of 1024 that divides it, so that Parse
// gives the same number back.
func (b ByteSize) String() string {
	for _, u := range units[:4] {
		if b != 0 && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// UnmarshalText makes ByteSize a configuration value.
func (b *ByteSize) UnmarshalText(text []byte) error {
	size, err := Parse(string(text))
	if err != nil {
		return err
	}
	*b = size
	return nil
}

// MarshalText is String, for configuration that is written out.
func (b ByteSize) MarshalText() ([]byte, error) { return []byte(b.String()), nil }
