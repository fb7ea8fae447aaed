package correlateprocessor

import (
	"fmt"
	"strings"
)

// Bounds of W3C Trace Context and of OpenTelemetry's member in it.
const (
	maxMembers  = 32
	maxOTLength = 256
)

// withRandomness returns a tracestate that says in OpenTelemetry's member (ot)
// that the trace's randomness (rv) is r, of which the 56 low bits count. All
// else that the tracestate holds is kept; the member is the first then, as of
// one that was changed. changed is false, and nothing is changed, where there
// is a randomness or a threshold (th) already, where the value would be longer
// than allowed, and where the text is no tracestate.
func withRandomness(state string, r uint64) (_ string, changed bool) {
	rv := fmt.Sprintf("rv:%014x", r&(1<<56-1))
	if strings.Trim(state, " \t,") == "" {
		return "ot=" + rv, true
	}
	members := strings.Split(state, ",")
	ours, found := "", false
	others := members[:0]
	for _, member := range members {
		member = strings.Trim(member, " \t")
		key, value, ok := strings.Cut(member, "=")
		switch {
		case member == "":
		case !ok || key == "":
			return state, false
		case key != "ot":
			others = append(others, member)
		case found || has(value, "rv") || has(value, "th"):
			return state, false
		default:
			ours, found = value, true
		}
	}
	if len(others) >= maxMembers {
		return state, false
	}
	if ours != "" {
		rv = ours + ";" + rv
	}
	if len(rv) > maxOTLength {
		return state, false
	}
	return strings.Join(append([]string{"ot=" + rv}, others...), ","), true
}

// has reports whether an ot value has a field of this name.
func has(value, name string) bool {
	for field := range strings.SplitSeq(value, ";") {
		if key, _, _ := strings.Cut(field, ":"); key == name {
			return true
		}
	}
	return false
}
