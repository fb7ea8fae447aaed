package rule

import "strings"

// What OpenTelemetry's member of a tracestate, ot, says of sampling:
//
//	ot=rv:<14 hex digits>;th:<1 to 14 hex digits>;...
//
// rv is the trace's randomness, th the threshold below which it was sampled
// out. Digits are lower case. A value that is not of this form counts as not
// given.
const randomnessDigits = 14

// sampling reads a tracestate: the randomness, if there is one, and whether
// there is a randomness or a threshold.
func sampling(state string) (rv uint64, hasRV, sampled bool) {
	for state != "" {
		var member string
		member, state, _ = strings.Cut(state, ",")
		fields, ok := strings.CutPrefix(strings.Trim(member, " \t"), "ot=")
		if !ok {
			continue
		}
		for fields != "" {
			var field string
			field, fields, _ = strings.Cut(fields, ";")
			key, value, _ := strings.Cut(field, ":")
			n, ok := lowerHex(value)
			switch {
			case !ok:
			case key == "rv" && len(value) == randomnessDigits && !hasRV:
				rv, hasRV, sampled = n, true, true
			case key == "th":
				sampled = true
			}
		}
		return rv, hasRV, sampled
	}
	return 0, false, false
}

// lowerHex reads 1 to 14 hex digits.
func lowerHex(s string) (n uint64, ok bool) {
	if s == "" || len(s) > randomnessDigits {
		return 0, false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		n = n<<4 | uint64(c)
	}
	return n, true
}
