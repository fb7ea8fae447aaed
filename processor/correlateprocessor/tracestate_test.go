package correlateprocessor

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWithRandomness(t *testing.T) {
	members := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("v%d=1", i)
		}
		return strings.Join(list, ",")
	}
	const rv = "rv:0000000000000f"
	for _, c := range []struct{ name, state, want string }{
		{"none", "", "ot=" + rv},
		{"only separators", " , ,", "ot=" + rv},
		{"other vendors", "b=2,a=1", "ot=" + rv + ",b=2,a=1"},
		{"spaces around members", "b=2 ,\ta=1", "ot=" + rv + ",b=2,a=1"},
		{"equal signs in a value", "b=2=3", "ot=" + rv + ",b=2=3"},
		{"other values of ours", "b=2,ot=p:8;x:rv,a=1", "ot=p:8;x:rv;" + rv + ",b=2,a=1"},
		{"our member is empty", "b=2,ot=", "ot=" + rv + ",b=2"},
		{"a tenant's member is not ours", "t@ot=rv:1", "ot=" + rv + ",t@ot=rv:1"},
		{"as many members as fit", members(31), "ot=" + rv + "," + members(31)},
		{"as long as fits", "ot=x:" + strings.Repeat("y", 256-2-1-17), "ot=x:" + strings.Repeat("y", 256-2-1-17) + ";" + rv},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, changed := withRandomness(c.state, 15)
			require.True(t, changed)
			require.Equal(t, c.want, got)
		})
	}
	for name, state := range map[string]string{
		"randomness":       "ot=rv:00000000000001",
		"threshold":        "a=1,ot=x:1;th:8",
		"no tracestate":    "a",
		"no key":           "=1",
		"ours twice":       "ot=x:1,ot=y:1",
		"too many members": members(32),
		"too long":         "ot=x:" + strings.Repeat("y", 256-2-17),
	} {
		t.Run(name, func(t *testing.T) {
			got, changed := withRandomness(state, 15)
			require.False(t, changed)
			require.Equal(t, state, got)
		})
	}
	got, _ := withRandomness("", 1<<63|1<<55|1)
	require.Equal(t, "ot=rv:80000000000001", got, "56 bits")
}

func FuzzWithRandomness(f *testing.F) {
	for _, state := range []string{"", "a=1", "ot=p:8", "ot=th:8", "b=2,ot=x:1,a=1", ",", "a", "ot=x:1,ot=y"} {
		f.Add(state, uint64(1))
	}
	f.Fuzz(func(t *testing.T, state string, r uint64) {
		got, changed := withRandomness(state, r)
		if !changed {
			require.Equal(t, state, got)
			return
		}
		value, rest, _ := strings.Cut(strings.TrimPrefix(got, "ot="), ",")
		require.LessOrEqual(t, len(value), 256)
		require.True(t, strings.HasSuffix(value, fmt.Sprintf("rv:%014x", r&(1<<56-1))), got)

		// What others said is all there, in its order, and nothing else.
		var others []string
		for member := range strings.SplitSeq(state, ",") {
			if member = strings.Trim(member, " \t"); member != "" && !strings.HasPrefix(member, "ot=") {
				others = append(others, member)
			}
		}
		require.Equal(t, strings.Join(others, ","), rest)

		again, changed := withRandomness(got, r+1)
		require.False(t, changed, "a randomness is never replaced")
		require.Equal(t, got, again)
	})
}
