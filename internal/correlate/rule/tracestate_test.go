package rule

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSampling(t *testing.T) {
	for state, want := range map[string]struct {
		rv      uint64
		hasRV   bool
		sampled bool
	}{
		"":                                       {},
		"a=b":                                    {},
		"ot=rv:123456789abcde":                   {0x123456789abcde, true, true},
		"ot=th:8":                                {0, false, true},
		"ot=th:0":                                {0, false, true},
		"ot=th:8;rv:00000000000001":              {1, true, true},
		"a=ot,b=c, ot=x:y;th:c\t,d=rv":           {0, false, true},
		"ot=rv:123":                              {},
		"ot=rv:123456789ABCDE":                   {},
		"ot=rv:123456789abcdeff":                 {},
		"ot=rv:g23456789abcde":                   {},
		"ot=th:":                                 {},
		"ot=th":                                  {},
		"ot=th:123456789abcdef":                  {},
		"ot=th:x;rv:00000000000002":              {2, true, true},
		"ot=":                                    {},
		"not=th:8":                               {},
		"ot =th:8":                               {},
		"ot=a:b,ot=th:8":                         {},
		",,ot=th:8":                              {0, false, true},
		"ot=rv:00000000000003;rv:00000000000004": {3, true, true},
	} {
		rv, hasRV, sampled := sampling(state)
		require.Equal(t, fmt.Sprint(want), fmt.Sprint(struct {
			rv      uint64
			hasRV   bool
			sampled bool
		}{rv, hasRV, sampled}), state)
	}
}

var (
	rvForm = regexp.MustCompile(`^rv:([0-9a-f]{14})$`)
	thForm = regexp.MustCompile(`^th:[0-9a-f]{1,14}$`)
)

// slowSampling says the same by splitting.
func slowSampling(state string) (rv string, sampled bool) {
	for _, member := range strings.Split(state, ",") {
		value, ok := strings.CutPrefix(strings.Trim(member, " \t"), "ot=")
		if !ok {
			continue
		}
		for _, field := range strings.Split(value, ";") {
			if m := rvForm.FindStringSubmatch(field); m != nil && rv == "" {
				rv, sampled = m[1], true
			}
			sampled = sampled || thForm.MatchString(field)
		}
		break
	}
	return rv, sampled
}

func FuzzSampling(f *testing.F) {
	f.Add("a=b,ot=rv:123456789abcde;th:8")
	f.Add("ot=;;:;th:1")
	f.Fuzz(func(t *testing.T, state string) {
		rv, hasRV, sampled := sampling(state)
		wantRV, wantSampled := slowSampling(state)
		require.Equal(t, wantSampled, sampled)
		require.Equal(t, wantRV != "", hasRV)
		if hasRV {
			require.Equal(t, wantRV, fmt.Sprintf("%014x", rv))
		}
	})
}
