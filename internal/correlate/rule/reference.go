package rule

import "strings"

// reference is what the text form of a reference names: an event by service,
// node and id, where "" is the own service or node, or a message.
type reference struct {
	service, node, id string
	message           string
}

// unescaper undoes how "%" and "/" are written in the parts of a reference.
var unescaper = strings.NewReplacer("%25", "%", "%2F", "/", "%2f", "/")

// parseReference reads the text form that internal/event writes: ID,
// SERVICE/NODE/ID or message/ID.
func parseReference(s string) (r reference, ok bool) {
	first, rest, several := strings.Cut(s, "/")
	if !several {
		r.id, ok = unescape(s)
		return r, ok && r.id != ""
	}
	second, third, three := strings.Cut(rest, "/")
	if !three {
		if r.message, ok = unescape(second); first != "message" {
			return reference{}, false
		}
		return r, ok && r.message != ""
	}
	var oks [3]bool
	r.service, oks[0] = unescape(first)
	r.node, oks[1] = unescape(second)
	r.id, oks[2] = unescape(third)
	return r, oks == [3]bool{true, true, true} && r.id != "" && !strings.Contains(third, "/")
}

// unescape is false where a "%" begins no escape.
func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, true
	}
	for rest := s; ; rest = rest[3:] {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			return unescaper.Replace(s), true
		}
		if rest = rest[i:]; !strings.HasPrefix(rest, "%25") && !strings.HasPrefix(rest, "%2F") && !strings.HasPrefix(rest, "%2f") {
			return "", false
		}
	}
}
